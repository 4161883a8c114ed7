//! Mail: one multipart message, text and right-to-left HTML, with an id that mail servers recognise.

use std::sync::OnceLock;
use std::time::Duration;

use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::AsyncSmtpTransportBuilder;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use super::{ChannelError, Parcel, Sent, Settings};

/// A mail server.
pub struct SmtpChannel {
    builder: AsyncSmtpTransportBuilder,
    /// Made at the first mail: its pool needs the runtime, which commands that only check have not.
    transport: OnceLock<AsyncSmtpTransport<Tokio1Executor>>,
    from: Mailbox,
}

/// Greylisting servers answer at once; one that says nothing for this long is not going to.
const PATIENCE: Duration = Duration::from_secs(30);

impl SmtpChannel {
    pub(super) fn new(settings: &Settings<'_>) -> Result<Self, ChannelError> {
        let host = settings.needed("host")?;
        let port = settings.option("port").unwrap_or("587");
        let port: u16 = port.parse().map_err(|_| settings.incomplete(&format!("options.port is a number, not `{port}`")))?;
        let from = settings.needed("from")?;
        let from = from.parse().map_err(|_| settings.incomplete(&format!("options.from is a mail address, not `{from}`")))?;
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host).port(port).timeout(Some(PATIENCE));
        builder = builder.tls(tls(settings, host)?);
        if let (Some(user), Some(password)) = (settings.option("user"), settings.secret("password")?) {
            builder = builder.credentials(Credentials::new(user.to_owned(), password));
        }
        Ok(SmtpChannel { builder, transport: OnceLock::new(), from })
    }

    pub(super) async fn send(&self, parcel: &Parcel<'_>) -> Sent {
        let message = match self.message(parcel) {
            Ok(message) => message,
            Err(why) => return Sent::Refused(why),
        };
        // A server that cannot be reached has certainly not taken it; the pool keeps the connection for the mail itself.
        let transport = self.transport.get_or_init(|| self.builder.clone().build());
        match transport.test_connection().await {
            Ok(true) => {}
            Ok(false) => return Sent::Later("the mail server hung up".to_owned(), None),
            Err(error) => return Sent::Later(format!("the mail server cannot be reached: {error}"), None),
        }
        match transport.send(message).await {
            Ok(_) => Sent::Delivered,
            Err(error) if error.is_permanent() => Sent::Refused(format!("the mail server refused: {error}")),
            Err(error) if error.is_transient() => Sent::Later(format!("the mail server said later: {error}"), None),
            Err(error) if error.is_client() => Sent::Refused(error.to_string()),
            // Whether the text had left when the answer failed to come, nobody knows.
            Err(error) if error.is_timeout() => Sent::Uncertain("the mail server did not answer in time".to_owned()),
            Err(error) => Sent::Uncertain(format!("the connection to the mail server broke: {error}")),
        }
    }

    fn message(&self, parcel: &Parcel<'_>) -> Result<Message, String> {
        let to = parcel.address.parse::<Mailbox>().map_err(|error| format!("`{}`: {error}", parcel.address))?;
        let id = parcel.id.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '.' }).collect::<String>();
        let body = MultiPart::alternative_plain_html(parcel.text.long.clone(), parcel.text.html.clone());
        let builder = Message::builder().from(self.from.clone()).to(to).subject(parcel.text.subject.clone());
        builder.message_id(Some(format!("<{id}@rusta>"))).multipart(body).map_err(|error| error.to_string())
    }
}

fn tls(settings: &Settings<'_>, host: &str) -> Result<Tls, ChannelError> {
    let parameters = || TlsParameters::new(host.to_owned()).map_err(|error| settings.incomplete(&error.to_string()));
    match settings.option("tls").unwrap_or("starttls") {
        "none" => Ok(Tls::None),
        "starttls" => Ok(Tls::Required(parameters()?)),
        "tls" => Ok(Tls::Wrapper(parameters()?)),
        other => Err(settings.incomplete(&format!("options.tls is none, starttls or tls, not `{other}`"))),
    }
}
