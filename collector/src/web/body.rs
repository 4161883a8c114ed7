//! The pace at which a request's body has to come: a visitor who sends a byte a minute is not waited for.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// How fast is fast enough.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// What a form may take however small it is.
    grace: Duration,
    /// Bytes a second that a body has to come at on the whole.
    slowest: u64,
}

/// A phone may change its mast in the middle; 64 kbit/s is an old modem's.
const PACE: Pace = Pace { grace: Duration::from_secs(20), slowest: 8 * 1024 };

/// Ends a request whose body comes too slowly.
pub async fn paced(request: Request, next: Next) -> Response {
    next.run(request.map(|body| PACE.keep(body))).await
}

impl Pace {
    fn keep(self, body: Body) -> Body {
        if body.is_end_stream() {
            return body;
        }
        let started = Instant::now();
        Body::new(Paced { body, pace: self, started, received: 0, due: Box::pin(tokio::time::sleep_until(started + self.grace)) })
    }
}

struct Paced {
    body: Body,
    pace: Pace,
    started: Instant,
    received: u64,
    due: Pin<Box<Sleep>>,
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            self.received += frame.data_ref().map_or(0, Bytes::len) as u64;
            let due = self.started + self.pace.grace + Duration::from_millis(self.received * 1_000 / self.pace.slowest);
            self.due.as_mut().reset(due);
        }
        if frame.is_pending() && self.due.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(axum::Error::new(std::io::Error::from(std::io::ErrorKind::TimedOut)))));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tokio::sync::mpsc;

    use super::*;

    /// A body that gets its bytes from a channel.
    struct Dripping(mpsc::Receiver<Bytes>);

    impl HttpBody for Dripping {
        type Data = Bytes;
        type Error = axum::Error;

        fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
            self.0.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
        }
    }

    /// Sends `parts` pieces of `size` bytes, ten a second; returns how many bytes were taken.
    async fn send(pace: Pace, parts: usize, size: usize) -> Result<usize, axum::Error> {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            for _ in 0..parts {
                if sender.send(Bytes::from(vec![b'x'; size])).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        pace.keep(Body::new(Dripping(receiver))).collect().await.map(|all| all.to_bytes().len())
    }

    #[tokio::test]
    async fn a_body_that_drips_is_not_waited_for_and_a_slow_one_is() {
        let pace = Pace { grace: Duration::from_millis(500), ..PACE };
        let started = Instant::now();
        assert!(send(pace, 1_000, 1).await.is_err());
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        assert_eq!(send(pace, 15, 16 * 1024).await.unwrap(), 15 * 16 * 1024, "it took thrice its grace, at a good pace");
    }
}
