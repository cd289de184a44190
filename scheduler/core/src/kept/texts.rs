//! Several short texts in one allocation. Each stands behind its length, counted from 1, in digits of six bits, the
//! lowest first; 0 is a text that is not there. Those that are missing at the end take no room at all.

/// Bit of a digit that is not the last.
const MORE: u8 = 0x40;
const DIGIT_BITS: u32 = 6;

#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Texts(Box<str>);

impl Texts {
    pub fn pack<'a>(texts: impl IntoIterator<Item = Option<&'a str>>) -> Texts {
        let (mut packed, mut missing) = (String::new(), 0);
        for text in texts {
            let Some(text) = text else {
                missing += 1;
                continue;
            };
            packed.extend(std::iter::repeat_n('\0', std::mem::take(&mut missing)));
            put_number(&mut packed, text.len() + 1);
            packed.push_str(text);
        }
        Texts(packed.into_boxed_str())
    }

    pub fn get(&self, at: usize) -> Option<&str> {
        self.iter().nth(at).flatten()
    }

    /// All of them up to the last that is there.
    pub fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let number = take_number(&mut rest)?;
            let (text, after) = rest.split_at(number.saturating_sub(1));
            rest = after;
            Some((number > 0).then_some(text))
        })
    }

    pub fn set(&mut self, at: usize, text: Option<&str>) {
        let mut texts: Vec<Option<&str>> = self.iter().collect();
        if texts.len() <= at {
            texts.resize(at + 1, None);
        }
        texts[at] = text;
        *self = Texts::pack(texts);
    }
}

fn put_number(packed: &mut String, mut number: usize) {
    loop {
        let digit = (number & ((1 << DIGIT_BITS) - 1)) as u8;
        number >>= DIGIT_BITS;
        // All of them are of seven bits, so that the whole is text as well.
        packed.push(char::from(if number > 0 { digit | MORE } else { digit }));
        if number == 0 {
            return;
        }
    }
}

fn take_number(rest: &mut &str) -> Option<usize> {
    let digits = 1 + rest.bytes().position(|digit| digit & MORE == 0)?;
    let (number, after) = rest.split_at(digits);
    *rest = after;
    Some(number.bytes().rev().fold(0, |number, digit| number << DIGIT_BITS | usize::from(digit & !MORE)))
}
