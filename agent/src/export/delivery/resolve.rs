//! Resolve: host names to addresses, without the C library.
//!
//! The program is linked statically, and glibc's resolver loads plugins at run time that need not be there. So names
//! are looked up in `/etc/hosts` and by DNS as `/etc/resolv.conf` says; other sources of `/etc/nsswitch.conf` (LDAP,
//! mDNS) are not asked. `localhost` is the loopback address even where neither file exists (RFC 6761, section 6.3).

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
    vec,
};

use hickory_resolver::{
    TokioResolver as Dns,
    config::{LookupIpStrategy, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
};
use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

/// Looks names up for the connector of the HTTP client.
///
/// The system's configuration is read at each lookup. Lookups are as rare as connections, and the configuration
/// changes while the agent runs: on a laptop with the network, on a node when it joins a cluster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resolver;

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(async move {
            // The connector fills in the port.
            let with_port = |ip| SocketAddr::new(ip, 0);
            Ok(resolve(name.as_str()).await?.into_iter().map(with_port).collect::<Vec<_>>().into_iter())
        })
    }
}

async fn resolve(host: &str) -> io::Result<Vec<IpAddr>> {
    let name = host.trim_end_matches('.');
    if name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost") {
        // IPv4 first: more collectors listen there alone than on IPv6 alone.
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let failed = |error: &dyn std::fmt::Display| {
        io::Error::other(format!("cannot resolve {host} by /etc/hosts and /etc/resolv.conf: {error}"))
    };
    let (mut builder, unconfigured) = match Dns::builder_tokio() {
        Ok(builder) => (builder, None),
        // There is still /etc/hosts.
        Err(error) => (
            Dns::builder_with_config(ResolverConfig::default(), TokioRuntimeProvider::default()),
            Some(error),
        ),
    };
    builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    let resolver = builder.build().map_err(|error| failed(&error))?;
    let found = resolver.lookup_ip(host).await.map_err(|error| failed(&unconfigured.unwrap_or(error)))?;
    let addresses: Vec<IpAddr> = found.iter().collect();
    if addresses.is_empty() {
        return Err(failed(&"it has no address"));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn localhost_needs_no_files() {
        for name in ["localhost", "LocalHost.", "collector.localhost"] {
            assert_eq!(
                resolve(name).await.unwrap(),
                [IpAddr::V4(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()]
            );
        }
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_named_in_the_error() {
        let error = resolve("no-such-host.invalid").await.unwrap_err().to_string();
        assert!(error.starts_with("cannot resolve no-such-host.invalid by /etc/hosts"), "{error}");
    }
}
