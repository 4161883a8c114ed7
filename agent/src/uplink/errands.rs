//! What the uplink asks a collector for besides reporting: the assignment, and a new certificate in good time.

use std::sync::Arc;
use std::time::Duration;

use rusta_wire::{Answer, UnixMs};

use super::connection::LinkError;
use super::{Event, Uplink};
use crate::identity::Identity;
use crate::packet::http2::{Response, Status};
use crate::{grant, tls};

/// How often the certificate's age is looked at.
const RENEWAL_CHECK: Duration = Duration::from_secs(3600);

#[derive(serde::Deserialize)]
struct Assigned {
    version: u64,
    yaml: String,
}

impl Uplink {
    pub(super) async fn fetch_assignment(&mut self, response: &Response) -> Result<(), LinkError> {
        let Ok(answer) = Answer::decode(&response.body) else { return Ok(()) };
        let version = answer.assignment_version;
        if version == 0 || !self.shared.assignments.borrow().wants(version) {
            return Ok(());
        }
        let response = self.request("/v1/assignment", None).await?;
        match (response.status, serde_json::from_slice::<Assigned>(&response.body)) {
            (Status::OK, Ok(assigned)) => self.tell(Event::Assigned { version: assigned.version, yaml: assigned.yaml }),
            (status, _) => tracing::warn!(%status, "assignment could not be fetched"),
        }
        Ok(())
    }

    pub(super) async fn renew_if_due(&mut self) -> Result<(), LinkError> {
        let now = self.shared.clock.now();
        if self.renewal_checked.is_some_and(|at| now.since(at) < RENEWAL_CHECK) {
            return Ok(());
        }
        self.renewal_checked = Some(now);
        if !self.identity.is_due_for_renewal(UnixMs::from_seconds(self.shared.clock.wall().system_s)) {
            return Ok(());
        }
        let dir = self.collector.identity_dir.clone();
        let request = match grant::renewal_request(&dir) {
            Ok(request) => request,
            Err(error) => {
                tracing::error!(%error, "certificate cannot be renewed");
                return Ok(());
            }
        };
        let response = self.request("/v1/enroll", Some(("application/json", request))).await?;
        match grant::take_renewal(&dir, &self.shared.flash, response.status, &response.body).await {
            Ok(identity) => self.become_identity(identity),
            Err(error) => tracing::warn!(%error, "certificate was not renewed"),
        }
        Ok(())
    }

    fn become_identity(&mut self, identity: Identity) {
        match tls::uplink_config(&identity, self.shared.clock.clone()) {
            Ok(tls) => {
                tracing::info!(until = identity.not_after.seconds(), "certificate renewed");
                (self.tls, self.identity, self.connection) = (Arc::new(tls), identity, None);
            }
            Err(error) => tracing::error!(%error, "renewed certificate cannot be used"),
        }
    }
}
