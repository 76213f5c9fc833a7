//! Harness of the acceptance tests.
