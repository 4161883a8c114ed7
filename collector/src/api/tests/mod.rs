//! The router as a whole, over a generated province in a made-up but fixed state.

mod identities;
mod in_force;
mod incidents;
mod kpis;
mod machines;
mod pages;
mod scope;
mod stage;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;

/// Pages and API as the collector serves them.
pub fn routed(web: crate::web::WebState) -> Router {
    let router = crate::web::router(web, super::routes(&crate::telemetry::Telemetry::default()));
    router.layer(axum::Extension(crate::web::door::Came::Here))
}

/// An answer, read to its end.
pub struct Answer {
    pub status: StatusCode,
    pub head: axum::http::response::Parts,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> &str {
        self.head.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub async fn ask(router: &Router, request: Request<Body>) -> Answer {
    let response: Response<Body> = router.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    Answer { status: head.status, head, body }
}

pub async fn get(router: &Router, address: &str) -> Answer {
    ask(router, Request::get(address).body(Body::empty()).unwrap()).await
}

pub async fn get_as(router: &Router, address: &str, token: &str) -> Answer {
    // The scheme's name is the same in any case: every second caller writes it small.
    let scheme = if (token.len() + address.len()).is_multiple_of(2) { "Bearer" } else { "bearer" };
    ask(router, Request::get(address).header("authorization", format!("{scheme} {token}")).body(Body::empty()).unwrap()).await
}

pub async fn post(router: &Router, address: &str, form: &str, cookie: &str) -> Answer {
    let request = Request::post(address).header("content-type", "application/x-www-form-urlencoded").header("cookie", cookie);
    ask(router, request.body(Body::from(form.to_owned())).unwrap()).await
}

pub async fn get_with(router: &Router, address: &str, cookie: &str) -> Answer {
    ask(router, Request::get(address).header("cookie", cookie).body(Body::empty()).unwrap()).await
}

/// Opens the form of signing in and fills it in, as a browser does.
pub async fn fill_in_login(router: &Router, filled: &str) -> Answer {
    let form = get(router, "/login").await;
    let door = form.header("set-cookie").split(';').next().unwrap().to_owned();
    let token = door.split_once('=').unwrap().1;
    post(router, "/login", &format!("csrf={token}&{filled}"), &door).await
}
