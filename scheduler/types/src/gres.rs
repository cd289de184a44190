//! Generic resources. The only ones there are here are GPUs.

use crate::GpuModel;
use crate::quoted::{Quoted, digits_u32};
use std::fmt;

/// The most bytes of text that are looked at.
pub const MAX_TEXT: usize = 4096;
/// The longest name of a GPU model.
pub const MAX_MODEL: usize = 64;
/// The most GPUs in one request.
pub const MAX_COUNT: u32 = 1_000_000;

/// Some GPUs, of one model if that was said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GpuRequest {
    pub model: Option<GpuModel>,
    pub count: u32,
}

/// As in `--gres`: `gpu:h100:4`.
impl fmt::Display for GpuRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.model {
            Some(model) => write!(f, "gpu:{model}:{}", self.count),
            None => write!(f, "gpu:{}", self.count),
        }
    }
}

/// Why a request for generic resources cannot be met by any node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GresError {
    #[error("the request for generic resources has {given} bytes, at most {MAX_TEXT} are read")]
    TooLong { given: usize },
    #[error("no node has the generic resource {name}; only \"gpu\" is known")]
    Unknown { name: Quoted },
    #[error("invalid request {given}: expected {expected}")]
    Form { given: Quoted, expected: &'static str },
    #[error("{given} asks for more than {MAX_COUNT} GPUs")]
    TooMany { given: Quoted },
    #[error("a job can ask for one GPU model, not both {first} and {second}")]
    SeveralModels { first: GpuRequest, second: GpuRequest },
}

const GRES_FORM: &str = "gpu[:model][:count], for example gpu:h100:4";
const GPUS_FORM: &str = "[model:]count, for example h100:4";

/// `--gres`: `gpu`, `gpu:4`, `gpu:h100:4`, `gres/gpu:h100=4`, lists of these. `none` and nothing ask for nothing;
/// requests for the same model are added.
pub fn parse_gres(text: &str) -> Result<Vec<GpuRequest>, GresError> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(Vec::new());
    }
    parse_list(text, |item| {
        let bare = strip_word(item, "gres").unwrap_or(item);
        let name_len = bare.find([':', '=']).unwrap_or(bare.len());
        let (name, rest) = bare.split_at(name_len);
        let form = || GresError::Form { given: Quoted::new(item), expected: GRES_FORM };
        if name.is_empty() {
            return Err(form());
        }
        if !name.eq_ignore_ascii_case("gpu") {
            return Err(GresError::Unknown { name: Quoted::new(name) });
        }
        let rest = rest.strip_prefix([':', '=']);
        // A bare `gpu` is one of any model, `gpu:h100` one of that model.
        rest.map_or(Ok(GpuRequest { model: None, count: 1 }), |rest| parse_request(rest, item, form))
    })
}

/// `--gpus`, `--gpus-per-node`, `--gpus-per-task`: `4`, `h100:4`, `h100`, lists of these.
pub fn parse_gpus(text: &str) -> Result<Vec<GpuRequest>, GresError> {
    parse_list(text, |item| {
        let bare = strip_word(item, "gpu").unwrap_or(item);
        parse_request(bare, item, || GresError::Form { given: Quoted::new(item), expected: GPUS_FORM })
    })
}

/// The one request that a job can make; `None` where nothing is asked for.
pub fn single(requests: Vec<GpuRequest>) -> Result<Option<GpuRequest>, GresError> {
    let mut wanted = requests.into_iter().filter(|request| request.count > 0);
    match (wanted.next(), wanted.next()) {
        (Some(first), Some(second)) => Err(GresError::SeveralModels { first, second }),
        (first, _) => Ok(first),
    }
}

/// `gres/gpu` and `gres:gpu`, as Slurm prints what was asked for.
fn strip_word<'a>(item: &'a str, word: &str) -> Option<&'a str> {
    let (start, rest) = item.split_at_checked(word.len())?;
    start.eq_ignore_ascii_case(word).then(|| rest.strip_prefix(['/', ':', '='])).flatten()
}

fn parse_list(text: &str, parse: impl Fn(&str) -> Result<GpuRequest, GresError>) -> Result<Vec<GpuRequest>, GresError> {
    if text.len() > MAX_TEXT {
        return Err(GresError::TooLong { given: text.len() });
    }
    let mut requests: Vec<GpuRequest> = Vec::new();
    for item in text.split(',').filter(|_| !text.is_empty()) {
        let request = parse(item)?;
        match requests.iter_mut().find(|other| other.model == request.model) {
            Some(other) => {
                other.count += request.count;
                if other.count > MAX_COUNT {
                    return Err(GresError::TooMany { given: Quoted::new(text) });
                }
            }
            None => requests.push(request),
        }
    }
    Ok(requests)
}

/// `[model:]count` or `model`. Nothing but digits is a count, so a model needs a letter.
fn parse_request(text: &str, item: &str, form: impl Fn() -> GresError) -> Result<GpuRequest, GresError> {
    let (model, count) = match text.rsplit_once([':', '=']) {
        Some((model, count)) => (Some(model), Some(count)),
        None if is_count(text) => (None, Some(text)),
        None => (Some(text), None),
    };
    let model = model.map(|model| parse_model(model).ok_or_else(&form)).transpose()?;
    let count = match count {
        None => 1,
        Some(count) if !is_count(count) => return Err(form()),
        Some(count) => parse_count(count).ok_or_else(|| GresError::TooMany { given: Quoted::new(item) })?,
    };
    Ok(GpuRequest { model, count })
}

/// Digits, perhaps with a `K`.
fn is_count(text: &str) -> bool {
    let number = text.strip_suffix(['k', 'K']).unwrap_or(text);
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// `None` where that is more than [`MAX_COUNT`].
fn parse_count(text: &str) -> Option<u32> {
    let (number, factor) = text.strip_suffix(['k', 'K']).map_or((text, 1), |number| (number, 1024));
    digits_u32(number)?.checked_mul(factor).filter(|count| *count <= MAX_COUNT)
}

/// A leading sign or a lone number is a count gone wrong, not a model.
fn parse_model(text: &str) -> Option<GpuModel> {
    let fits = text.len() <= MAX_MODEL
        && !is_count(text)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    fits.then(|| GpuModel(text.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(parsed: Result<Vec<GpuRequest>, GresError>) -> String {
        parsed.map_or_else(
            |error| error.to_string(),
            |all| all.iter().map(GpuRequest::to_string).collect::<Vec<_>>().join(","),
        )
    }

    #[test]
    fn gres_in_all_its_forms() {
        for (text, printed) in [
            ("gpu", "gpu:1"),
            ("gpu:4", "gpu:4"),
            ("gpu:h100", "gpu:h100:1"),
            ("GPU:H100:4", "gpu:h100:4"),
            ("gres/gpu:a100_80gb=2", "gpu:a100_80gb:2"),
            ("gres:gpu:2", "gpu:2"),
            ("gpu:1g.5gb:7", "gpu:1g.5gb:7"),
            ("gpu:2K", "gpu:2048"),
            ("gpu:0", "gpu:0"),
            ("gpu:a100:1,gpu:t4:2,gpu:a100:3", "gpu:a100:4,gpu:t4:2"),
            ("none", ""),
            ("", ""),
        ] {
            assert_eq!(show(parse_gres(text)), printed, "{text}");
        }
    }

    #[test]
    fn gpus_in_all_their_forms() {
        for (text, printed) in [
            ("4", "gpu:4"),
            ("h100:4", "gpu:h100:4"),
            ("h100", "gpu:h100:1"),
            ("gpu:4", "gpu:4"),
            ("a_1:2", "gpu:a_1:2"),
        ] {
            assert_eq!(show(parse_gpus(text)), printed, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_is_named() {
        assert_eq!(
            show(parse_gres("shard:3,gpu")),
            "no node has the generic resource \"shard\"; only \"gpu\" is known"
        );
        for text in [
            "gpu:",
            "gpu::2",
            "gpu:a100:",
            "gpu:a100:x",
            "gpu:a100:2:x",
            "gpu:-1",
            "gpu,,gpu",
            ":2",
            "gpu:é",
            "gpu:7:7",
        ] {
            assert!(show(parse_gres(text)).starts_with("invalid request"), "{text}");
        }
        for text in ["h100:", ":4", "-1", "h100:-1", "h100:4.5", "99999999999:1"] {
            assert!(show(parse_gpus(text)).starts_with("invalid request"), "{text}");
        }
        for text in ["99999999999999999999", "1000001", "4294967295K", "1000000,1"] {
            assert!(show(parse_gpus(text)).contains("more than"), "{text}");
        }
        assert!(matches!(parse_gpus(&"x".repeat(5000)), Err(GresError::TooLong { .. })));
    }

    #[test]
    fn a_job_has_one_model() {
        assert_eq!(parse_gpus("t4:0").and_then(single), Ok(None));
        assert_eq!(parse_gpus("t4:2").and_then(single).map(|one| one.map(|one| one.count)), Ok(Some(2)));
        let error = parse_gpus("t4:2,a100:1").and_then(single).expect_err("two models").to_string();
        assert_eq!(error, "a job can ask for one GPU model, not both gpu:t4:2 and gpu:a100:1");
    }
}
