//! Routes: which destinations take the spans of a process.
//!
//! In: the destinations of the configuration, and those of each selector that has its own. Out: each destination once,
//! however many name it, and for each process an [`ExportSet`] that says which ones take its spans. Two that differ in
//! their headers alone are two: they belong to two tenants of one backend.

use super::{Destination, Headers};

/// Which destinations take a span: those of the top of the configuration (the default) or those of a selector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ExportSet(u16);

/// All destinations and the sets of them that processes export to.
#[derive(Clone, Debug)]
pub struct Routes {
    pub(super) exporters: Vec<Exporter>,
    /// Indices into the exporters, of each set. The first is the default.
    sets: Vec<Vec<usize>>,
}

/// A destination and what is particular to the requests that it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exporter {
    pub(super) destination: Destination,
    pub(super) headers: Headers,
}

/// More sets than there are names for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "more than {} different lists of destinations: give selectors that export alike the same list",
    u16::MAX
)]
pub struct TooManySets;

impl Routes {
    /// These destinations take the spans of every process that has no set of its own.
    pub fn new(default: &[Destination]) -> Self {
        let mut routes = Self { exporters: Vec::new(), sets: Vec::new() };
        let set = routes.exporters(default, &Headers::default());
        routes.sets.push(set);
        routes
    }

    /// The set of these destinations, for the processes of a selector. `None`: those of the default. The headers go
    /// with every request to them, before those of the environment.
    pub fn add(
        &mut self,
        destinations: Option<&[Destination]>,
        headers: &Headers,
    ) -> Result<ExportSet, TooManySets> {
        let inherited: Vec<Destination>;
        let destinations = match destinations {
            Some(own) => own,
            None => {
                inherited = self.default_destinations();
                &inherited
            }
        };
        let set = self.exporters(destinations, headers);
        let index = match self.sets.iter().position(|known| *known == set) {
            Some(index) => index,
            None => {
                self.sets.push(set);
                self.sets.len() - 1
            }
        };
        u16::try_from(index).map(ExportSet).map_err(|_| TooManySets)
    }

    /// The exporters of each set.
    pub(super) fn sets(&self) -> &[Vec<usize>] {
        &self.sets
    }

    fn default_destinations(&self) -> Vec<Destination> {
        let default = self.sets.first().into_iter().flatten();
        default.filter_map(|index| self.exporters.get(*index)).map(|own| own.destination.clone()).collect()
    }

    fn exporters(&mut self, destinations: &[Destination], headers: &Headers) -> Vec<usize> {
        let mut set: Vec<usize> =
            destinations.iter().map(|destination| self.exporter(destination, headers)).collect();
        set.sort_unstable();
        set.dedup();
        set
    }

    fn exporter(&mut self, destination: &Destination, headers: &Headers) -> usize {
        // A file has no use for headers: tenants share it.
        let headers = if destination.has_headers() { headers.clone() } else { Headers::default() };
        let exporter = Exporter { destination: destination.clone(), headers };
        match self.exporters.iter().position(|known| *known == exporter) {
            Some(index) => index,
            None => {
                self.exporters.push(exporter);
                self.exporters.len() - 1
            }
        }
    }
}

impl ExportSet {
    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destinations(texts: &[&str]) -> Vec<Destination> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn headers(tenant: &str) -> Headers {
        let mut headers = Headers::default();
        headers.insert("x-tenant", tenant).unwrap();
        headers
    }

    #[test]
    fn a_destination_that_is_named_twice_is_one() {
        let mut routes = Routes::new(&destinations(&["otlp", "console", "otlp"]));
        let own = routes.add(Some(&destinations(&["console", "json=-"])), &Headers::default()).unwrap();
        assert_eq!(routes.exporters.len(), 3);
        assert_eq!(routes.sets(), [vec![0, 1], vec![1, 2]]);
        assert_eq!((ExportSet::default().index(), own.index()), (0, 1));
        let again = routes.add(None, &Headers::default()).unwrap();
        assert_eq!(again, ExportSet::default(), "the same list is the same set");
    }

    #[test]
    fn each_tenant_of_a_backend_has_a_destination_of_its_own() {
        let mut routes = Routes::new(&destinations(&["otlp", "json=-"]));
        let a = routes.add(None, &headers("a")).unwrap();
        let b = routes.add(None, &headers("b")).unwrap();
        assert_ne!(a, b);
        assert_eq!(routes.add(None, &headers("a")), Ok(a));
        assert_eq!(routes.sets(), [vec![0, 1], vec![1, 2], vec![1, 3]], "they share the file");
    }

    #[test]
    fn processes_may_export_to_nowhere() {
        let mut routes = Routes::new(&destinations(&["otlp"]));
        let none = routes.add(Some(&[]), &Headers::default()).unwrap();
        assert!(routes.sets()[none.index()].is_empty());
    }
}
