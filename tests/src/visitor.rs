//! Somebody who is signed in to the pages.

use std::io::Write;
use std::net::SocketAddr;
use std::process::Stdio;

use crate::http::{self, Response};
use crate::programs::run_ok;
use crate::stage::Stage;

/// A session.
#[derive(Debug)]
pub struct Visitor {
    pages: SocketAddr,
    cookie: String,
}

impl Visitor {
    /// Adds a user to a stage and signs them in by a link.
    pub fn new(stage: &Stage, pages: SocketAddr, name: &str, role: &str) -> Visitor {
        let mut add = stage.collector();
        add.args(["users", "add", name, "--role", role]).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut add = add.spawn().unwrap();
        add.stdin.take().unwrap().write_all(b"correct horse battery staple 5823\n").unwrap();
        assert!(add.wait().unwrap().success());
        let link = run_ok(stage.collector().args(["users", "link", name]));
        let secret = link.trim().split("secret=").nth(1).unwrap().to_owned();
        let nobody = Visitor { pages, cookie: String::new() };
        let taken = nobody.post("/login/link", "application/x-www-form-urlencoded", format!("secret={secret}").as_bytes());
        assert_eq!(taken.status, 303, "{}", taken.text());
        let cookie = taken.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap_or_else(|| panic!("{}", taken.head));
        Visitor { pages, cookie: cookie.split(';').next().unwrap().to_owned() }
    }

    /// Asks for a page.
    pub fn get(&self, path: &str) -> Response {
        http::ask_as(self.pages, &self.pages.to_string(), &format!("GET {path}"), &self.header(), b"").unwrap()
    }

    /// Sends a form.
    pub fn post(&self, path: &str, kind: &str, body: &[u8]) -> Response {
        let headers = format!("Content-Type: {kind}\r\n{}", self.header());
        http::ask_as(self.pages, &self.pages.to_string(), &format!("POST {path}"), &headers, body).unwrap()
    }

    fn header(&self) -> String {
        if self.cookie.is_empty() { String::new() } else { format!("Cookie: {}\r\n", self.cookie) }
    }
}
