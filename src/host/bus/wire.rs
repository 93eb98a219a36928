//! D-Bus messages as bytes (D-Bus Specification, "Message Protocol"): calls with strings, and answers that hold one simple value. Pure. It refuses
//! everything that asking systemd for a property does not need.

/// A length that the specification allows is larger; nothing that is asked here is.
const MOST_BYTES: usize = 1 << 20;

/// Every message begins with so many bytes, in which its whole length can be found.
pub(super) const HEAD: usize = 16;

/// A call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    /// Whom; empty where nobody else is at the other end.
    pub destination: &'a str,
    pub path: &'a str,
    pub interface: &'a str,
    pub member: &'a str,
    /// All are strings.
    pub arguments: &'a [&'a str],
}

/// One value of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(i128),
}

/// What came, of what is of use here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    /// The answer to the call of that number: its first value, where there is one and it is simple.
    Answer(u32, Option<Value>),
    /// The call of that number failed, by the error's name.
    Error(u32, String),
    /// Signals, and others' calls.
    Other,
}

impl Call<'_> {
    /// The message, in this machine's order of bytes.
    pub(super) fn bytes(&self, serial: u32) -> Option<Vec<u8>> {
        let mut body = Writer::default();
        self.arguments.iter().try_for_each(|text| body.text(text))?;
        let order = if cfg!(target_endian = "little") { b'l' } else { b'B' };
        // A call that starts nobody (NO_AUTO_START), version 1.
        let mut message = Writer(vec![order, 1, 2, 1]);
        message.number(u32::try_from(body.0.len()).ok()?);
        message.number(serial);
        let mut fields = Writer::default();
        let signature = "s".repeat(self.arguments.len());
        for (code, kind, text) in [
            (1, b'o', self.path),
            (2, b's', self.interface),
            (3, b's', self.member),
            (6, b's', self.destination),
            (8, b'g', signature.as_str()),
        ] {
            if text.is_empty() {
                continue;
            }
            fields.align(8);
            fields.0.extend([code, 1, kind, 0]);
            if kind == b'g' { fields.signature(text)? } else { fields.text(text)? }
        }
        message.number(u32::try_from(fields.0.len()).ok()?);
        message.0.extend(fields.0);
        message.align(8);
        message.0.extend(body.0);
        Some(message.0)
    }
}

/// How long the message is that begins with these bytes; nothing where it is none, or too long.
pub(super) fn length(head: &[u8]) -> Option<usize> {
    let reader = Reader::of(head)?;
    if head.get(3) != Some(&1) {
        return None;
    }
    let (body, fields) = (reader.word(4)?, reader.word(12)?);
    let whole = HEAD.checked_add(fields.checked_next_multiple_of(8)?)?.checked_add(body)?;
    (whole <= MOST_BYTES).then_some(whole)
}

/// Takes a whole message apart.
pub(super) fn parse(bytes: &[u8]) -> Option<Message> {
    let whole = length(bytes)?;
    let bytes = bytes.get(..whole)?;
    let kind = *bytes.get(1)?;
    let mut reader = Reader::of(bytes)?;
    let end = HEAD.checked_add(reader.word(12)?)?;
    let (mut answers, mut error, mut signature) = (None, None, String::new());
    reader.at = HEAD;
    while reader.at < end {
        reader.align(8);
        let code = reader.byte()?;
        match (code, reader.value(0)?) {
            (5, Value::Number(number)) => answers = u32::try_from(number).ok(),
            (4, Value::Text(text)) => error = Some(text),
            (8, Value::Text(text)) => signature = text,
            _ => {}
        }
    }
    reader.align(8);
    Some(match (kind, answers) {
        (2, Some(serial)) => Message::Answer(serial, signature.bytes().next().and_then(|kind| reader.of_kind(kind, 0))),
        (3, Some(serial)) => Message::Error(serial, error?),
        _ => Message::Other,
    })
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn number(&mut self, number: u32) {
        self.align(4);
        self.0.extend(number.to_ne_bytes());
    }

    fn text(&mut self, text: &str) -> Option<()> {
        self.number(u32::try_from(text.len()).ok()?);
        self.0.extend(text.as_bytes());
        self.0.push(0);
        Some(())
    }

    fn signature(&mut self, text: &str) -> Option<()> {
        self.0.push(u8::try_from(text.len()).ok()?);
        self.0.extend(text.as_bytes());
        self.0.push(0);
        Some(())
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    little: bool,
}

impl<'a> Reader<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let little = match bytes.first()? {
            b'l' => true,
            b'B' => false,
            _ => return None,
        };
        Some(Self { bytes, at: 0, little })
    }

    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn word(&self, at: usize) -> Option<usize> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        usize::try_from(if self.little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }).ok()
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn unsigned(&mut self, size: usize) -> Option<u64> {
        self.align(size);
        let little = self.little;
        let bytes = self.take(size)?;
        let add = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
        Some(if little { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) })
    }

    /// A variant: its signature, then its value.
    fn value(&mut self, depth: u8) -> Option<Value> {
        let signature = self.signature()?;
        match signature.as_bytes() {
            [kind] => self.of_kind(*kind, depth),
            _ => None,
        }
    }

    fn signature(&mut self) -> Option<String> {
        let count = usize::from(self.byte()?);
        let text = std::str::from_utf8(self.take(count)?).ok()?.to_owned();
        self.byte()?;
        Some(text)
    }

    fn of_kind(&mut self, kind: u8, depth: u8) -> Option<Value> {
        let number = |number: u64| Some(Value::Number(number.into()));
        match kind {
            b's' | b'o' => {
                let count = usize::try_from(self.unsigned(4)?).ok()?;
                let text = std::str::from_utf8(self.take(count)?).ok()?.to_owned();
                self.byte()?;
                Some(Value::Text(text))
            }
            b'g' => self.signature().map(Value::Text),
            b'y' => self.byte().map(|byte| Value::Number(byte.into())),
            b'b' | b'u' => number(self.unsigned(4)?),
            b'i' => Some(Value::Number(u32::try_from(self.unsigned(4)?).ok()?.cast_signed().into())),
            b't' => number(self.unsigned(8)?),
            b'x' => Some(Value::Number(self.unsigned(8)?.cast_signed().into())),
            b'v' if depth == 0 => self.value(1),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Call<'_> = Call {
        destination: "org.freedesktop.systemd1",
        path: "/org/freedesktop/systemd1",
        interface: "org.freedesktop.systemd1.Manager",
        member: "GetUnit",
        arguments: &["kubelet.service"],
    };

    /// An answer as a bus sends it, in either order of bytes.
    fn answer(little: bool, kind: u8, fields: &[(u8, u8, Vec<u8>)], body: &[u8]) -> Vec<u8> {
        let word = |number: usize| {
            let number = u32::try_from(number).unwrap();
            if little { number.to_le_bytes() } else { number.to_be_bytes() }
        };
        let mut list = Vec::new();
        for (code, signature, value) in fields {
            list.resize(list.len().next_multiple_of(8), 0);
            list.extend([*code, 1, *signature, 0]);
            list.extend(value);
        }
        let mut all = vec![if little { b'l' } else { b'B' }, kind, 1, 1];
        all.extend(word(body.len()));
        all.extend(word(77));
        all.extend(word(list.len()));
        all.extend(list);
        all.resize(all.len().next_multiple_of(8), 0);
        all.extend(body);
        all
    }

    #[test]
    fn a_call_is_as_the_specification_has_it() {
        let bytes = CALL.bytes(5).unwrap();
        assert_eq!(length(&bytes), Some(bytes.len()));
        assert_eq!(&bytes[..4], if cfg!(target_endian = "little") { b"l\x01\x02\x01" } else { b"B\x01\x02\x01" });
        let body = &bytes[bytes.len() - 20..];
        assert_eq!(body, [&15u32.to_ne_bytes()[..], b"kubelet.service\0"].concat());
        let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        assert!(has(b"\x06\x01s\0") && has(b"\x08\x01g\0\x01s\0") && has(b"/org/freedesktop/systemd1\0"));
        let alone = Call { destination: "", arguments: &[], ..CALL }.bytes(1).unwrap();
        assert!(!alone.windows(4).any(|window| window == b"\x06\x01s\0" || window == b"\x08\x01g\0"));
        assert_eq!(parse(&bytes), Some(Message::Other), "a call is no answer");
    }

    #[test]
    fn answers_and_errors_in_both_orders() {
        for little in [true, false] {
            let word = |number: u32| if little { number.to_le_bytes() } else { number.to_be_bytes() };
            let text = |text: &str| [&word(u32::try_from(text.len()).unwrap())[..], text.as_bytes(), b"\0"].concat();
            let serial = (5, b'u', word(9).to_vec());
            let signature = |kind: &str| (8, b'g', [&[1], kind.as_bytes(), b"\0"].concat());
            let variant = [&b"\x01s\0\0"[..], &text("failed")].concat();
            let one = answer(little, 2, &[serial.clone(), signature("v")], &variant);
            assert_eq!(parse(&one), Some(Message::Answer(9, Some(Value::Text("failed".to_owned())))));
            let number = [&b"\x01u\0\0"[..], &word(12)].concat();
            let one = answer(little, 2, &[signature("v"), serial.clone()], &number);
            assert_eq!(parse(&one), Some(Message::Answer(9, Some(Value::Number(12)))));
            let negative = [&b"\x01i\0\0"[..], &word(u32::MAX)].concat();
            let one = answer(little, 2, &[serial.clone(), signature("v")], &negative);
            assert_eq!(parse(&one), Some(Message::Answer(9, Some(Value::Number(-1)))));
            let many = answer(little, 2, &[serial.clone(), (8, b'g', b"\x05a{sv}\0"[..].to_vec())], &[]);
            assert!(matches!(parse(&many), None | Some(Message::Answer(9, None))), "{:?}", parse(&many));
            let none = answer(little, 2, std::slice::from_ref(&serial), &[]);
            assert_eq!(parse(&none), Some(Message::Answer(9, None)));
            let name = "org.freedesktop.systemd1.NoSuchUnit";
            let error = answer(little, 3, &[(4, b's', text(name)), serial.clone(), signature("s")], &text("no"));
            assert_eq!(parse(&error), Some(Message::Error(9, name.to_owned())));
            for whole in [one, many, none, error] {
                for end in 0..whole.len() {
                    let _ = parse(&whole[..end]);
                }
                for at in 0..whole.len() {
                    for bits in [0xff, 0x80, 0x01] {
                        let mut bent = whole.clone();
                        bent[at] ^= bits;
                        let _ = parse(&bent);
                    }
                }
            }
        }
        assert_eq!(length(b"l\x02\x01\x01\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xff"), None, "too long");
        assert_eq!(length(b"x\x02\x01\x01\0\0\0\0\0\0\0\0\0\0\0\0"), None);
    }
}
