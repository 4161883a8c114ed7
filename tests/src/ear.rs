//! Servers that listen to what the collector tells the outside: HTTP gateways and mail servers that remember every word
//! and answer as a test wants them to, also badly.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// One request, or one mail.
#[derive(Debug, Clone)]
pub struct Heard {
    /// When its last byte arrived.
    pub at: Instant,
    /// The request line of HTTP; empty for a mail.
    pub request: String,
    /// The body, or the mail.
    pub body: String,
}

impl Heard {
    /// Reads the body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("not JSON ({e}): {}", self.body))
    }
}

/// How a server answers one request.
#[derive(Debug, Clone)]
pub enum Says {
    /// An HTTP status and a body, or an SMTP code and its text.
    Answer(u16, &'static str),
    /// Nothing: the connection stays open.
    Nothing,
    /// The connection is cut after everything was read.
    HangUp,
}

type Answers = Arc<dyn Fn(usize, &Heard) -> Says + Send + Sync>;

/// A server; its threads end with the process.
#[derive(Debug)]
pub struct Ear {
    /// Where it listens.
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Ear {
    /// Serves HTTP; `says` answers the nth request, counted from 0.
    pub fn http(listener: TcpListener, says: impl Fn(usize, &Heard) -> Says + Send + Sync + 'static) -> Ear {
        Ear::serve(listener, Arc::new(says), speak_http)
    }

    /// Serves SMTP; `says` answers the end of the nth mail, counted from 0.
    pub fn mail(listener: TcpListener, says: impl Fn(usize, &Heard) -> Says + Send + Sync + 'static) -> Ear {
        Ear::serve(listener, Arc::new(says), speak_smtp)
    }

    /// Returns everything heard so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    fn serve(listener: TcpListener, says: Answers, speak: fn(TcpStream, &Mutex<Vec<Heard>>, &Answers) -> std::io::Result<()>) -> Ear {
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let shared = heard.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (heard, says) = (shared.clone(), says.clone());
                // A client that goes away in the middle has said nothing.
                std::thread::spawn(move || speak(stream, &heard, &says));
            }
        });
        Ear { address, heard }
    }
}

fn take(heard: &Mutex<Vec<Heard>>, says: &Answers, request: String, body: String) -> Says {
    let heard_now = Heard { at: Instant::now(), request, body };
    let mut heard = heard.lock().unwrap();
    heard.push(heard_now.clone());
    says(heard.len() - 1, &heard_now)
}

fn wait_for_the_other_side(stream: &mut impl Read) {
    while stream.read(&mut [0; 256]).is_ok_and(|count| count > 0) {}
}

fn speak_http(stream: TcpStream, heard: &Mutex<Vec<Heard>>, says: &Answers) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(300)))?;
    let mut stream = BufReader::new(stream);
    let (mut request, mut length, mut line) = (String::new(), 0, String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if request.is_empty() {
            request = line.trim_end().to_string();
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    match take(heard, says, request, String::from_utf8_lossy(&body).into_owned()) {
        Says::Answer(status, text) => {
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", text.len());
            stream.get_mut().write_all((head + text).as_bytes())
        }
        Says::HangUp => Ok(()),
        Says::Nothing => {
            wait_for_the_other_side(&mut stream);
            Ok(())
        }
    }
}

fn speak_smtp(stream: TcpStream, heard: &Mutex<Vec<Heard>>, says: &Answers) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(300)))?;
    let mut stream = BufReader::new(stream);
    stream.get_mut().write_all(b"220 ear\r\n")?;
    let mut line = String::new();
    while stream.read_line(&mut line)? > 0 {
        let answer = match line.get(..4).unwrap_or_default().to_ascii_uppercase().as_str() {
            "DATA" => {
                stream.get_mut().write_all(b"354 go on\r\n")?;
                let mut mail = String::new();
                while !mail.ends_with("\r\n.\r\n") {
                    if stream.read_line(&mut mail)? == 0 {
                        return Ok(());
                    }
                }
                match take(heard, says, String::new(), mail) {
                    Says::Answer(code, text) => format!("{code} {text}"),
                    Says::HangUp => return Ok(()),
                    Says::Nothing => {
                        wait_for_the_other_side(&mut stream);
                        return Ok(());
                    }
                }
            }
            "QUIT" => "221 bye".to_string(),
            _ => "250 yes".to_string(),
        };
        stream.get_mut().write_all(format!("{answer}\r\n").as_bytes())?;
        line.clear();
    }
    Ok(())
}
