//! Rust sources as the rules see them: without comments, without what is compiled for tests only.

use super::tree::Text;
use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};

/// All tokens of a file.
///
/// # Panics
/// Where the file is no Rust.
pub fn whole(file: &Text) -> TokenStream {
    file.text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.path))
}

/// The tokens of a file, without the items under `#[cfg(test)]`.
///
/// # Panics
/// Where the file is no Rust.
pub fn product(file: &Text) -> TokenStream {
    without_tests(whole(file))
}

/// A path as it is written, its `use` groups spelled out: `std::fs::read`.
pub struct Named {
    pub line: usize,
    pub path: String,
}

/// Every path and every single name in a stream of tokens, in their order.
pub fn paths(tokens: TokenStream) -> Vec<Named> {
    let mut found = Vec::new();
    collect(tokens, "", &mut found);
    found
}

/// What stands in the attributes, `#[…]` and `#![…]`, at any depth.
pub fn attributes(tokens: TokenStream) -> Vec<TokenStream> {
    let mut found = Vec::new();
    let mut after_hash = false;
    for token in tokens {
        match token {
            TokenTree::Group(group) if after_hash && group.delimiter() == Delimiter::Bracket => {
                found.push(group.stream())
            }
            TokenTree::Group(group) => found.extend(attributes(group.stream())),
            TokenTree::Punct(punct) if punct.as_char() == '#' || (after_hash && punct.as_char() == '!') => {
                after_hash = true;
                continue;
            }
            TokenTree::Punct(_) | TokenTree::Ident(_) | TokenTree::Literal(_) => {}
        }
        after_hash = false;
    }
    found
}

/// A keyword or name with the one token after it, everywhere in a stream.
pub fn pairs(tokens: TokenStream) -> Vec<(Ident, String)> {
    let mut found = Vec::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => found.extend(pairs(group.stream())),
            TokenTree::Ident(ident) => {
                let next = match tokens.peek() {
                    Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => "{".to_owned(),
                    Some(TokenTree::Group(group)) => group.to_string(),
                    Some(token) => token.to_string(),
                    None => String::new(),
                };
                found.push((ident, next));
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
    found
}

/// Drops each `#[cfg(test)]` with the item that follows it, at any depth.
fn without_tests(tokens: TokenStream) -> TokenStream {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if is_punct(token, '#') && tokens.get(at + 1).is_some_and(is_for_tests) {
            at += 2;
            // To the end of the item: its block, or the semicolon of what has none.
            while let Some(token) = tokens.get(at) {
                at += 1;
                if is_punct(token, ';') || is_braced(token) {
                    break;
                }
            }
            continue;
        }
        kept.push(match token {
            TokenTree::Group(group) => {
                let mut inner = Group::new(group.delimiter(), without_tests(group.stream()));
                inner.set_span(group.span());
                TokenTree::Group(inner)
            }
            other => other.clone(),
        });
        at += 1;
    }
    kept.into_iter().collect()
}

fn is_for_tests(token: &TokenTree) -> bool {
    let TokenTree::Group(group) = token else { return false };
    let text = group.stream().to_string().replace(' ', "");
    group.delimiter() == Delimiter::Bracket
        && (text == "test" || text.starts_with("cfg(test") || text.starts_with("cfg(all(test"))
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

fn is_braced(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

fn collect(tokens: TokenStream, prefix: &str, found: &mut Vec<Named>) {
    let mut path = String::new();
    let mut line = 0;
    let mut colons = 0;
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                if colons == 2 && !path.is_empty() {
                    path.push_str("::");
                } else {
                    finish(&mut path, line, found);
                    path.push_str(prefix);
                }
                path.push_str(&ident.to_string());
                line = ident.span().start().line;
                colons = 0;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
            TokenTree::Group(group) => {
                let inner = if colons == 2 { format!("{path}::") } else { String::new() };
                finish(&mut path, line, found);
                collect(group.stream(), &inner, found);
                colons = 0;
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {
                finish(&mut path, line, found);
                colons = 0;
            }
        }
    }
    finish(&mut path, line, found);
}

fn finish(path: &mut String, line: usize, found: &mut Vec<Named>) {
    if !path.is_empty() {
        found.push(Named { line, path: std::mem::take(path) });
    }
}

#[cfg(test)]
mod tests {
    use super::{attributes, pairs, paths, product};
    use crate::rules::tree::Text;

    fn names(text: &str) -> Vec<String> {
        let file = Text { path: "a.rs".to_owned(), text: text.to_owned() };
        paths(product(&file)).into_iter().map(|named| named.path).collect()
    }

    #[test]
    fn groups_of_a_use_are_spelled_out() {
        assert_eq!(
            names("use std::{fs, io::{self, Read}};"),
            ["use", "std", "std::fs", "std::io", "std::io::self", "std::io::Read"]
        );
    }

    #[test]
    fn a_type_a_call_and_a_macro_name_their_paths() {
        let found = names("fn f(a: std::net::IpAddr) { g(std::env::var(h)); println!(\"{}\", std::process::id()); }");
        for path in ["std::net::IpAddr", "std::env::var", "println", "std::process::id"] {
            assert!(found.iter().any(|found| found == path), "{path} is not in {found:?}");
        }
    }

    #[test]
    fn comments_texts_and_tests_name_nothing() {
        let text = "//! std::fs\n/* std::net */ fn a() -> &str { \"std::env\" }\n#[cfg(test)]\nmod tests { use std::thread; }\nfn b() {}";
        assert_eq!(names(text), ["doc", "fn", "a", "str", "fn", "b"]);
    }

    #[test]
    fn a_test_at_the_end_of_a_block_takes_nothing_else_with_it() {
        assert_eq!(
            names("impl A { fn a() {} #[test] fn t() { std::fs::x() } fn b() {} }"),
            ["impl", "A", "fn", "a", "fn", "b"]
        );
    }

    #[test]
    fn attributes_are_found_at_any_depth() {
        let found = attributes(
            "#![allow(x)] mod a { #[ignore] fn b() { #[expect(y)] let z = 1; } }".parse().expect("it is Rust"),
        );
        let texts: Vec<String> = found.iter().map(|found| found.to_string().replace(' ', "")).collect();
        assert_eq!(texts, ["allow(x)", "ignore", "expect(y)"]);
    }

    #[test]
    fn a_keyword_is_seen_with_what_it_declares() {
        let found = pairs("pub struct NodeManager { a: u8 }".parse().expect("it is Rust"));
        assert!(found.iter().any(|(word, next)| word == "struct" && next == "NodeManager"));
    }
}
