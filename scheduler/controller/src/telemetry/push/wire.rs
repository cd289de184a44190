//! Where metrics go and how, by the variables of OpenTelemetry's exporters.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use prost::Message;
use std::fmt;
use std::time::Duration;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::transport::{Channel, Endpoint};

/// How long a receiver may take, where the environment does not say.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Grpc,
    HttpProtobuf,
}

/// A receiver of metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Receiver {
    protocol: Protocol,
    url: String,
    headers: Vec<(String, String)>,
    timeout: Duration,
}

impl Receiver {
    /// # Errors
    /// What this build cannot do, in words.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Receiver, String> {
        let given = |name: &str| get(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        // For metrics alone, else for all signals.
        let chosen = |what: &str| {
            given(&format!("OTEL_EXPORTER_OTLP_METRICS_{what}"))
                .or_else(|| given(&format!("OTEL_EXPORTER_OTLP_{what}")))
        };
        let protocol = match chosen("PROTOCOL").as_deref() {
            Some("grpc") => Protocol::Grpc,
            None | Some("http/protobuf") => Protocol::HttpProtobuf,
            Some(other) => return Err(format!("the protocol {other:?} is none of `grpc` and `http/protobuf`")),
        };
        if let Some(compression) = chosen("COMPRESSION").filter(|compression| compression != "none") {
            return Err(format!("the compression {compression:?} is not built in"));
        }
        let url = match (given("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"), given("OTEL_EXPORTER_OTLP_ENDPOINT"), protocol) {
            (Some(own), _, _) => own,
            (None, Some(all), Protocol::Grpc) => all,
            (None, Some(all), Protocol::HttpProtobuf) => format!("{}/v1/metrics", all.trim_end_matches('/')),
            (None, None, Protocol::Grpc) => "http://localhost:4317".to_owned(),
            (None, None, Protocol::HttpProtobuf) => "http://localhost:4318/v1/metrics".to_owned(),
        };
        if !url.starts_with("http://") {
            return Err(format!(
                "{url} is no http:// address: a collector on this machine or network can go on from there"
            ));
        }
        let headers = chosen("HEADERS").map_or_else(Vec::new, |text| headers(&text));
        let timeout = millis(given, "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT");
        let timeout = timeout.or_else(|| millis(given, "OTEL_EXPORTER_OTLP_TIMEOUT")).unwrap_or(TIMEOUT);
        Ok(Receiver { protocol, url, headers, timeout })
    }
}

/// Headers can be secrets, and are not shown.
impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// A length of time in milliseconds, above zero.
pub(super) fn millis(get: impl Fn(&str) -> Option<String>, name: &str) -> Option<Duration> {
    let millis = get(name)?.trim().parse().ok()?;
    (millis > 0).then(|| Duration::from_millis(millis))
}

/// `key=value,key=value`, with values as in a URL.
fn headers(text: &str) -> Vec<(String, String)> {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.trim().to_ascii_lowercase(), decoded(value.trim()))).collect()
}

fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let hex = (*first == b'%').then(|| std::str::from_utf8(after.get(..2)?).ok()).flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Connections that are kept from one message to the next.
#[derive(Default)]
pub(super) struct Sending {
    channel: Option<Channel>,
    http: Option<reqwest::Client>,
}

impl Sending {
    pub async fn send(&mut self, to: &Receiver, request: ExportMetricsServiceRequest) -> Result<(), String> {
        let sent = async {
            match to.protocol {
                Protocol::Grpc => self.over_grpc(to, request).await,
                Protocol::HttpProtobuf => self.over_http(to, request).await,
            }
        };
        let late = |_| Err(format!("no answer within {} ms", to.timeout.as_millis()));
        tokio::time::timeout(to.timeout, sent).await.unwrap_or_else(late)
    }

    async fn over_grpc(&mut self, to: &Receiver, request: ExportMetricsServiceRequest) -> Result<(), String> {
        let channel = match &self.channel {
            Some(channel) => channel.clone(),
            None => {
                let endpoint = Endpoint::from_shared(to.url.clone()).map_err(|error| error.to_string())?;
                // Connects when it has to, and again when the connection was lost.
                self.channel.insert(endpoint.connect_lazy()).clone()
            }
        };
        let mut request = tonic::Request::new(request);
        for (key, value) in &to.headers {
            let parsed = (key.parse::<AsciiMetadataKey>(), value.parse::<AsciiMetadataValue>());
            let (Ok(key), Ok(value)) = parsed else { return Err(format!("the header {key:?} cannot be sent")) };
            request.metadata_mut().insert(key, value);
        }
        let sent = MetricsServiceClient::new(channel).export(request).await;
        sent.map(drop).map_err(|status| format!("{}: {}", status.code(), status.message()))
    }

    async fn over_http(&mut self, to: &Receiver, request: ExportMetricsServiceRequest) -> Result<(), String> {
        let client = self.http.get_or_insert_with(reqwest::Client::new);
        let mut post = client.post(&to.url).header("content-type", "application/x-protobuf");
        for (key, value) in &to.headers {
            post = post.header(key, value);
        }
        let answer = post.body(request.encode_to_vec()).send().await.map_err(|error| error.to_string())?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("the receiver answered {status}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Receiver, String> {
        Receiver::read(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn what_is_said_of_metrics_goes_before_what_is_said_of_all_signals() {
        let all = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20x%zz,b=1"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ];
        let receiver = with(&all).unwrap();
        assert_eq!(receiver.url, "http://collector:4318/v1/metrics");
        assert_eq!(receiver.headers, [("authorization".into(), "Bearer x%zz".into()), ("b".into(), "1".into())]);
        assert_eq!(receiver.timeout, Duration::from_millis(2_500));
        assert_eq!(receiver.to_string(), "http://collector:4318/v1/metrics");
        let own = [
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://metrics:9/x"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "0"),
        ];
        let receiver = with(&[&all[..], &own[..]].concat()).unwrap();
        assert_eq!((receiver.protocol, receiver.url.as_str()), (Protocol::Grpc, "http://metrics:9/x"));
        assert_eq!(receiver.timeout, Duration::from_millis(2_500));
        assert_eq!(with(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).unwrap().url, "http://localhost:4317");
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        assert!(with(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")]).unwrap_err().contains("http/json"));
        assert!(
            with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://x:1")]).unwrap_err().contains("https://x:1/v1/metrics")
        );
        assert!(with(&[("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")]).unwrap_err().contains("gzip"));
    }
}
