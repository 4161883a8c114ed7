//! The socket in the data directory by which the commands on the server's own shell ask the running collector.
//!
//! Who may open it is a matter of the file system: the directory and the socket are the data owner's alone. So there is
//! no secret to keep, and nothing changes for it with TLS, names or proxies of the people's port.

use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::UnixListener;
use tokio::sync::watch;

use crate::port::told_to;

const NAME: &str = "shell.sock";

/// How long a command may take to ask, and how long it waits for its answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A socket's path fits 107 bytes (unix(7)); one through the open directory always does.
struct Place {
    _dir: File,
    path: PathBuf,
}

fn place(data_dir: &Path) -> std::io::Result<Place> {
    let dir = File::open(data_dir)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{NAME}", dir.as_raw_fd()));
    Ok(Place { _dir: dir, path })
}

/// Opens the socket; one that a killed collector left is replaced.
///
/// # Errors
/// A directory where no socket can be made.
pub fn listen(data_dir: &Path) -> std::io::Result<UnixListener> {
    let place = place(data_dir)?;
    if std::fs::symlink_metadata(&place.path).is_ok_and(|found| found.file_type().is_socket()) {
        std::fs::remove_file(&place.path)?;
    }
    let listener = UnixListener::bind(&place.path)?;
    std::fs::set_permissions(&place.path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers until told to stop.
pub async fn serve(listener: UnixListener, router: Router, mut stop: watch::Receiver<bool>) {
    loop {
        let stream = tokio::select! {
            () = told_to(&mut stop) => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a command could not be heard");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false);
            // A command that goes away before its answer is nobody's trouble.
            let _gone = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Asks the running collector for a path and returns the status and the body of its answer.
///
/// # Errors
/// No collector that serves this directory, or none that answers in time.
pub fn ask(data_dir: &Path, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = std::os::unix::net::UnixStream::connect(&place(data_dir)?.path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nAccept: application/json\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let (status, (_, body)) = status
        .zip(answer.split_once("\r\n\r\n"))
        .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidData, "no answer of HTTP"))?;
    Ok((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_is_answered_under_any_path_and_over_what_a_killed_collector_left() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a-long-name-".repeat(16));
        std::fs::create_dir(&deep).unwrap();
        drop(listen(&deep).unwrap());
        let listener = listen(&deep).unwrap();
        let mode = std::fs::metadata(deep.join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let (stop, stopped) = watch::channel(false);
        let router = Router::new().route("/x", axum::routing::get(|| async { "y" }));
        let served = tokio::spawn(serve(listener, router, stopped));
        let asked = tokio::task::spawn_blocking(move || (ask(&deep, "/x?a=1"), ask(&deep, "/z"))).await.unwrap();
        assert_eq!(asked.0.unwrap(), (200, "y".to_owned()));
        assert_eq!(asked.1.unwrap().0, 404);
        stop.send_replace(true);
        served.await.unwrap();
    }
}
