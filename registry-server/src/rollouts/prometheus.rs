//! Asking a Prometheus server for one number. Refuses to know what it is for.

use serde::Deserialize;
use std::time::Duration;

/// How long an answer may take: a gate is asked again a second later.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer that is read, in bytes: one number and its labels.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Where Prometheus is.
#[derive(Debug, Clone)]
pub struct Prometheus {
    client: reqwest::Client,
    url: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum PrometheusError {
    #[error("no client for it can be made")]
    Client { source: reqwest::Error },
    #[error("it cannot be asked")]
    Request { source: reqwest::Error },
    #[error("it answered {status}: {reason}")]
    Refused { status: u16, reason: String },
    #[error("its answer is longer than {ANSWER_BYTES_MAX} bytes; a gate's query has one value")]
    TooLarge,
    #[error("its answer cannot be read")]
    Answer { source: serde_json::Error },
    #[error(
        "the query has {found} values; a gate's query has one. Aggregate it, for instance with max()"
    )]
    Several { found: usize },
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    data: Option<Data>,
    #[serde(default)]
    error: String,
}

/// A vector of series, or one scalar.
#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<Series>),
    Scalar((f64, String)),
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Series {
    value: (f64, String),
}

impl Prometheus {
    /// One at this address, like `http://prometheus:9090`.
    ///
    /// # Errors
    /// [`PrometheusError::Client`].
    pub fn at(url: &str) -> Result<Self, PrometheusError> {
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|source| PrometheusError::Client { source })?;
        Ok(Self { client, url: url.trim_end_matches('/').to_owned() })
    }

    /// The value of a query now; `None` when it has none.
    ///
    /// # Errors
    /// [`PrometheusError`].
    pub async fn value(&self, query: &str) -> Result<Option<f64>, PrometheusError> {
        let failed = |source| PrometheusError::Request { source };
        let url = format!("{}/api/v1/query", self.url);
        let request = self.client.get(url).query(&[("query", query)]);
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES_MAX {
                return Err(PrometheusError::TooLarge);
            }
        }
        read(status.as_u16(), &body)
    }
}

fn read(status: u16, body: &[u8]) -> Result<Option<f64>, PrometheusError> {
    let answer: Answer = match serde_json::from_slice(body) {
        Ok(answer) => answer,
        Err(_) if status != 200 => {
            return Err(PrometheusError::Refused { status, reason: String::new() });
        }
        Err(source) => return Err(PrometheusError::Answer { source }),
    };
    if status != 200 {
        let reason = answer.error.chars().take(200).collect();
        return Err(PrometheusError::Refused { status, reason });
    }
    let text = match answer.data {
        Some(Data::Scalar((_, value))) => value,
        Some(Data::Vector(series)) => match series.as_slice() {
            [] => return Ok(None),
            [one] => one.value.1.clone(),
            several => return Err(PrometheusError::Several { found: several.len() }),
        },
        Some(Data::Other) | None => return Ok(None),
    };
    // What is no number is no data.
    Ok(text.parse().ok().filter(|value: &f64| value.is_finite()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: Option<f64>) {
        assert_eq!(read(200, body.as_bytes()).unwrap(), expected, "{body}");
    }

    #[test]
    fn one_value_is_an_answer_and_none_is_no_data() {
        let vector = |series: &str| {
            format!(
                r#"{{"status":"success","data":{{"resultType":"vector","result":[{series}]}}}}"#
            )
        };
        let one = |value: &str| format!(r#"{{"metric":{{}},"value":[1.5,"{value}"]}}"#);
        check(&vector(&one("0.25")), Some(0.25));
        check(&vector(""), None);
        check(&vector(&one("NaN")), None);
        check(r#"{"status":"success","data":{"resultType":"scalar","result":[1,"7"]}}"#, Some(7.0));
        let two = format!("{},{}", one("1"), one("2"));
        let several = read(200, vector(&two).as_bytes());
        assert!(matches!(several, Err(PrometheusError::Several { found: 2 })));
        let refused = read(400, br#"{"status":"error","error":"parse error"}"#);
        assert!(refused.unwrap_err().to_string().contains("parse error"));
        assert!(read(502, b"<html>").is_err());
    }
}
