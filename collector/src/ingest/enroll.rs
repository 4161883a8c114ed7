//! `POST /v1/enroll`: a token and a certificate request give an identity; a certificate and a request renew it.

use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use rusta_wire::UnixMs;
use serde::Deserialize;

use super::{Refusal, Reply, Session, reply};
use crate::identity::{Enrolled, IdentityError};

/// A token, a request of a P-256 key and some JSON around them are under 2 KiB; RSA keys fit too.
const BODY_BYTES: usize = 16 * 1024;

/// Two packets over a slow line, sent again once or twice.
const BODY_PATIENCE: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    #[serde(default)]
    token: Option<String>,
    csr_pem: String,
}

pub(super) async fn answer(session: &Session, request: Request<Incoming>, now: UnixMs) -> Reply {
    let enrolled = match enroll(session, request, now).await {
        Ok(enrolled) => enrolled,
        Err(refusal) => return session.refuse_text(&refusal),
    };
    session.shared.counters.enrolled();
    match serde_json::to_vec(&enrolled) {
        Ok(body) => reply(StatusCode::OK, "application/json", body),
        Err(error) => session.refuse_text(&Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "fault", error.to_string())),
    }
}

async fn enroll(session: &Session, request: Request<Incoming>, now: UnixMs) -> Result<Enrolled, Refusal> {
    let place =
        session.shared.enrolling.enter(session.address).ok_or_else(|| {
            Refusal::new(StatusCode::TOO_MANY_REQUESTS, "enrolling", "too many devices are enrolling; try again in a minute")
        })?;
    let body = session.small_body(request, BODY_BYTES, BODY_PATIENCE).await?;
    let ask: Ask = serde_json::from_slice(&body).map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, "malformed", error.to_string()))?;
    let identity = session.shared.identity.clone();
    // Signing and the database block; neither may stop the other connections.
    let attempt = match ask.token {
        Some(token) => tokio::task::spawn_blocking(move || identity.enroll(&token, &ask.csr_pem, now)).await,
        None => {
            let agent = session.speaker(now)?.agent;
            session.shared.quotas.renew(agent, now).map_err(Refusal::of)?;
            tokio::task::spawn_blocking(move || identity.renew(agent, &ask.csr_pem, now)).await
        }
    };
    drop(place);
    match attempt {
        Ok(Ok(enrolled)) => Ok(enrolled),
        Ok(Err(error)) => Err(refusal(&error)),
        Err(_) => Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "fault", "enrolment was interrupted")),
    }
}

fn refusal(error: &IdentityError) -> Refusal {
    match error {
        IdentityError::Token => Refusal::new(StatusCode::FORBIDDEN, "token", error.to_string()),
        IdentityError::NotAllowed(_) => Refusal::new(StatusCode::FORBIDDEN, "revoked", error.to_string()),
        IdentityError::Request(_) => Refusal::new(StatusCode::BAD_REQUEST, "request", error.to_string()),
        other => {
            tracing::error!(error = %other, "enrolment failed");
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "fault", "the collector cannot enrol just now; try again")
        }
    }
}
