//! What a plain scalar means, by YAML 1.1 as PyYAML reads it and by the core schema of YAML 1.2.

use super::{Dialect, Value};

/// The value of an unquoted, untagged scalar.
pub(crate) fn plain(dialect: Dialect, text: &str) -> Value {
    match dialect {
        Dialect::Core => core(text),
        Dialect::Yaml11 => yaml11(text),
    }
    .unwrap_or_else(|| Value::String(text.to_owned()))
}

/// The value of a scalar with a `!!` tag; `None` when the text does not fit it or the tag is unknown.
pub(super) fn tagged(dialect: Dialect, kind: &str, text: &str) -> Option<Value> {
    let found = plain(dialect, text);
    match (kind, found) {
        ("str", _) => Some(Value::String(text.to_owned())),
        ("binary", _) => Some(Value::Opaque("bytes")),
        ("timestamp", Value::Opaque(kind)) => Some(Value::Opaque(kind)),
        ("null", found @ Value::Null) | ("bool", found @ Value::Bool(_)) | ("int", found @ Value::Int(_)) => {
            Some(found)
        }
        #[expect(clippy::cast_precision_loss, reason = "a float was asked for")]
        ("float", Value::Int(number)) => Some(Value::Float(number as f64)),
        ("float", found @ Value::Float(_)) => Some(found),
        _ => None,
    }
}

fn null(text: &str) -> Option<Value> {
    matches!(text, "" | "~" | "null" | "Null" | "NULL").then_some(Value::Null)
}

fn special_float(text: &str) -> Option<Value> {
    let number = match text {
        ".nan" | ".NaN" | ".NAN" => f64::NAN,
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => f64::INFINITY,
        "-.inf" | "-.Inf" | "-.INF" => f64::NEG_INFINITY,
        _ => return None,
    };
    Some(Value::Float(number))
}

fn core(text: &str) -> Option<Value> {
    let boolean = match text {
        "true" | "True" | "TRUE" => Some(Value::Bool(true)),
        "false" | "False" | "FALSE" => Some(Value::Bool(false)),
        _ => None,
    };
    null(text).or(boolean).or_else(|| special_float(text)).or_else(|| {
        let (negative, digits) = sign(text);
        if let Some(octal) = text.strip_prefix("0o") {
            integer(false, octal, 8)
        } else if let Some(hexadecimal) = text.strip_prefix("0x") {
            integer(false, hexadecimal, 16)
        } else {
            integer(negative, digits, 10).or_else(|| core_float(negative, digits))
        }
    })
}

fn core_float(negative: bool, digits: &str) -> Option<Value> {
    let shape = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.bytes().any(|b| b.is_ascii_digit())
        && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    float(negative, digits).filter(|_| shape)
}

fn yaml11(text: &str) -> Option<Value> {
    let boolean = match text {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(Value::Bool(true)),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(Value::Bool(false)),
        _ => None,
    };
    null(text)
        .or(boolean)
        .or_else(|| special_float(text))
        .or_else(|| yaml11_float(text))
        .or_else(|| yaml11_integer(text))
        .or_else(|| is_timestamp(text).then_some(Value::Opaque("a date")))
}

/// Binary, octal, hexadecimal, decimal and base 60, all with underscores.
fn yaml11_integer(text: &str) -> Option<Value> {
    let (negative, digits) = sign(text);
    let first = digits.bytes().next().filter(u8::is_ascii_digit)?;
    let plain = digits.replace('_', "");
    if let Some(binary) = plain.strip_prefix("0b") {
        integer(negative, binary, 2)
    } else if let Some(hexadecimal) = plain.strip_prefix("0x") {
        integer(negative, hexadecimal, 16)
    } else if digits == "0" {
        Some(Value::Int(0))
    } else if first == b'0' {
        integer(negative, &plain, 8)
    } else if digits.contains(':') {
        sexagesimal(negative, digits)
    } else {
        integer(negative, &plain, 10)
    }
}

/// Needs a point; an exponent needs a sign. Base 60 with a fraction is a float too: `0000:01:00.0`.
fn yaml11_float(text: &str) -> Option<Value> {
    let (negative, digits) = sign(text);
    if digits.contains(':') {
        let (whole, fraction) = digits.split_once('.')?;
        if !fraction.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
            return None;
        }
        let fraction: f64 = format!("0.{}0", fraction.replace('_', "")).parse().ok()?;
        return sexagesimal(negative, whole).map(|value| match value {
            #[expect(clippy::cast_precision_loss, reason = "it is a float in YAML 1.1")]
            Value::Int(number) => Value::Float(number as f64 + if negative { -fraction } else { fraction }),
            other => other,
        });
    }
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let (whole, fraction) = mantissa.split_once('.')?;
    let signed_exponent = exponent.is_none_or(|exponent| {
        exponent
            .strip_prefix(['+', '-'])
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
    });
    let shape = if whole.is_empty() {
        // Without digits before the point a sign is not allowed, and digits must follow.
        text == digits && fraction.starts_with(|c: char| c.is_ascii_digit())
    } else {
        whole.starts_with(|c: char| c.is_ascii_digit())
    };
    let digits_only = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    if !(shape && signed_exponent && digits_only(whole) && digits_only(fraction)) {
        return None;
    }
    float(negative, &digits.replace('_', ""))
}

/// `[0-9][0-9_]*(:[0-5]?[0-9])+`
fn sexagesimal(negative: bool, digits: &str) -> Option<Value> {
    let mut parts = digits.split(':');
    let first = parts.next()?;
    if !first.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut total = first.replace('_', "").parse::<i64>().ok()?;
    for part in parts {
        let fits = matches!(part.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']);
        let number = part.parse::<i64>().ok().filter(|_| fits)?;
        total = total.saturating_mul(60).saturating_add(number);
    }
    Some(Value::Int(if negative { -total } else { total }))
}

fn sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn integer(negative: bool, digits: &str, radix: u32) -> Option<Value> {
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    match i64::from_str_radix(digits, radix) {
        Ok(number) => Some(Value::Int(if negative { -number } else { number })),
        // Too large for an integer of ours; a float keeps its size, which is all that matters.
        Err(_) if radix == 10 => float(negative, digits),
        Err(_) => {
            let digits = digits.chars().filter_map(|c| c.to_digit(radix));
            let size = digits.fold(0.0, |sum, digit| sum * f64::from(radix) + f64::from(digit));
            Some(Value::Float(if negative { -size } else { size }))
        }
    }
}

fn float(negative: bool, digits: &str) -> Option<Value> {
    let number: f64 = digits.parse().ok()?;
    Some(Value::Float(if negative { -number } else { number }))
}

/// `YYYY-MM-DD`, or a looser date with a time behind it.
fn is_timestamp(text: &str) -> bool {
    let Some((date, time)) = text.split_once(['T', 't', ' ', '\t']) else {
        return is_date(text, 2);
    };
    let time = time.trim_start_matches([' ', '\t']);
    let Some(("", rest)) = time.find([':']).map(|_| ("", time)) else { return false };
    let mut fields = rest.splitn(3, ':');
    let (Some(hour), Some(minute), Some(tail)) = (fields.next(), fields.next(), fields.next()) else {
        return false;
    };
    let (second, zone) = tail.split_at(tail.len().min(2));
    let zone =
        zone.strip_prefix('.').map_or(zone, |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    is_date(date, 1) && digits(hour, 1..=2) && digits(minute, 2..=2) && digits(second, 2..=2) && is_zone(zone)
}

fn is_date(text: &str, least: usize) -> bool {
    let fields: Vec<_> = text.split('-').collect();
    matches!(fields[..], [year, month, day]
        if digits(year, 4..=4) && digits(month, least..=2) && digits(day, least..=2))
}

fn is_zone(text: &str) -> bool {
    let text = text.trim_start_matches([' ', '\t']);
    let Some(offset) = text.strip_prefix(['+', '-']) else { return matches!(text, "" | "Z") };
    match offset.split_once(':') {
        Some((hours, minutes)) => digits(hours, 1..=2) && digits(minutes, 2..=2),
        None => digits(offset, 1..=2),
    }
}

fn digits(text: &str, count: std::ops::RangeInclusive<usize>) -> bool {
    count.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::{plain, tagged};
    use crate::yaml::{Dialect, Value};

    fn text(value: &str) -> Value {
        Value::String(value.to_owned())
    }

    #[test]
    fn yaml_1_1_reads_like_pyyaml() {
        let rows = [
            ("yes", Value::Bool(true)),
            ("Off", Value::Bool(false)),
            ("y", text("y")),
            ("~", Value::Null),
            ("0755", Value::Int(493)),
            ("08", text("08")),
            ("0o755", text("0o755")),
            ("1_000", Value::Int(1000)),
            ("0x1F", Value::Int(31)),
            ("0b11", Value::Int(3)),
            ("24:00:00", Value::Int(86400)),
            ("01:00:00", text("01:00:00")),
            ("-1:30", Value::Int(-90)),
            ("1:75", text("1:75")),
            ("0000:01:00.0", Value::Float(60.0)),
            ("-1:30.5", Value::Float(-90.5)),
            ("0000:0a:00.0", text("0000:0a:00.0")),
            ("1.0", Value::Float(1.0)),
            ("1.", Value::Float(1.0)),
            (".5", Value::Float(0.5)),
            ("+.5", text("+.5")),
            ("1e3", text("1e3")),
            ("1.0e+3", Value::Float(1000.0)),
            ("1.0e3", text("1.0e3")),
            ("-.inf", Value::Float(f64::NEG_INFINITY)),
            ("2026-01-31", Value::Opaque("a date")),
            ("2026-1-31", text("2026-1-31")),
            ("2026-1-31 1:02:03", Value::Opaque("a date")),
            ("2026-01-31T01:02:03.5+02:00", Value::Opaque("a date")),
            ("192.168.100.10", text("192.168.100.10")),
            ("DHCP", text("DHCP")),
        ];
        for (written, expected) in rows {
            assert_eq!(plain(Dialect::Yaml11, written), expected, "{written}");
        }
    }

    #[test]
    fn the_core_schema_reads_less_into_a_text() {
        let rows = [
            ("yes", text("yes")),
            ("true", Value::Bool(true)),
            ("0755", Value::Int(755)),
            ("0o755", Value::Int(493)),
            ("24:00:00", text("24:00:00")),
            ("1_000", text("1_000")),
            ("1e3", Value::Float(1000.0)),
            ("+.5", Value::Float(0.5)),
            (".", text(".")),
            ("-", text("-")),
            ("2026-01-31", text("2026-01-31")),
            ("infinity", text("infinity")),
            ("99999999999999999999", Value::Float(99_999_999_999_999_999_999.0)),
        ];
        for (written, expected) in rows {
            assert_eq!(plain(Dialect::Core, written), expected, "{written}");
        }
    }

    #[test]
    fn a_tag_decides_or_does_not_fit() {
        assert_eq!(tagged(Dialect::Core, "str", "1.0"), Some(text("1.0")));
        assert_eq!(tagged(Dialect::Core, "float", "1"), Some(Value::Float(1.0)));
        assert_eq!(tagged(Dialect::Core, "int", "one"), None);
        assert_eq!(tagged(Dialect::Yaml11, "python/object", "x"), None);
    }
}
