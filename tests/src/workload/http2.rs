//! Servers of HTTP/2 without TLS.

pub mod peer;
pub mod recorded;

use std::{net::TcpStream, process::Command};

use crate::{
    TempDir, free_port,
    process::Process,
    wait::{LONG, wait_until},
};

/// A server of files without TLS, and its port.
pub fn nghttpd(directory: &TempDir) -> (Process, u16) {
    nghttpd_with(directory, &[])
}

/// The same with further options.
pub fn nghttpd_with(directory: &TempDir, options: &[&str]) -> (Process, u16) {
    let port = free_port();
    let mut command = Command::new("nghttpd");
    command.args(["--no-tls", "--htdocs"]).arg(directory.path()).args(options).arg(port.to_string());
    let process = Process::start("nghttpd", command.env("OTEL_SERVICE_NAME", "nghttpd"));
    wait_until("nghttpd listens", LONG, || TcpStream::connect(("127.0.0.1", port)).is_ok());
    (process, port)
}

/// nginx that takes HTTP/2 without TLS, and its port.
pub fn nginx(directory: &TempDir) -> (Process, u16) {
    let port = free_port();
    let path = directory.path().display();
    let configuration = directory.write(
        "nginx.conf",
        &format!(
            "daemon off; worker_processes 1; user root; pid {path}/nginx.pid; error_log stderr warn;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; keepalive_requests 1000000000; http2_max_concurrent_streams 256;\n\
             server {{ listen 127.0.0.1:{port} http2; root {path}; }} }}\n"
        ),
    );
    let mut command = Command::new("nginx");
    command.args(["-e", "stderr", "-c"]).arg(configuration).env("OTEL_SERVICE_NAME", "nginx");
    let process = Process::start("nginx", &mut command);
    wait_until("nginx listens", LONG, || TcpStream::connect(("127.0.0.1", port)).is_ok());
    process.wait_for_worker();
    (process, port)
}

/// Apache httpd that takes HTTP/2 without TLS, `Upgrade: h2c` too, and its port.
pub fn apache(directory: &TempDir) -> (Process, u16) {
    let port = free_port();
    let path = directory.path().display();
    let modules = ["mpm_event", "authz_core", "http2"]
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"));
    let configuration = directory.write(
        "apache.conf",
        &format!(
            "{}ServerRoot {path}\nServerName localhost\nUser nobody\nGroup nogroup\nPidFile {path}/httpd.pid\nDocumentRoot {path}\n\
             ErrorLog /dev/stderr\nListen 127.0.0.1:{port}\nProtocols h2c http/1.1\nH2Upgrade on\n",
            modules.concat()
        ),
    );
    let mut command = Command::new("apache2");
    command.arg("-DFOREGROUND").arg("-f").arg(configuration).env("OTEL_SERVICE_NAME", "apache");
    let process = Process::start("apache2", &mut command);
    wait_until("apache2 listens", LONG, || TcpStream::connect(("127.0.0.1", port)).is_ok());
    process.wait_for_worker();
    (process, port)
}
