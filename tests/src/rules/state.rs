//! The state changes in one place, and protobuf stays at the edge.

use super::{holds, tokens, tree};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Public methods of the state that take it by `&mut`.
const MUTATES: [&str; 1] = ["apply"];

#[test]
fn the_state_offers_one_way_to_change_it() {
    let mut broken = Vec::new();
    let core = tree::texts().iter().filter(|file| file.is_product() && file.path.starts_with("scheduler/core/src/"));
    for file in core {
        for body in bodies_of(tokens::product(file), "Cluster") {
            for name in public_and_mutating(body) {
                if !MUTATES.contains(&name.as_str()) {
                    broken.push(format!("{}: pub fn {name}(&mut self, …)", file.path));
                }
            }
        }
    }
    holds("nothing changes the state but Cluster::apply:", &broken);
}

#[test]
fn nobody_but_the_core_takes_the_state_to_change_it() {
    let mut broken = Vec::new();
    for file in tree::texts().iter().filter(|file| file.is_product() && !file.path.starts_with("scheduler/core/src/")) {
        let text = tokens::product(file).to_string();
        // The configuration has a name that begins the same and is anybody's to build.
        let text = text.replace("ClusterConfig", "");
        if text.contains("& mut Cluster") || text.contains("&mut Cluster") {
            broken.push(file.path.clone());
        }
    }
    holds("outside the core nobody borrows the state mutably:", &broken);
}

#[test]
fn generated_protobuf_is_private_to_its_crate() {
    let mut broken = Vec::new();
    for file in tree::texts().iter().filter(|file| file.is_product()) {
        let text = tokens::product(file).to_string().replace(' ', "");
        let at_home = file.path.starts_with("scheduler/proto/");
        broken.extend(
            (text.contains("include_proto!") && (!at_home || text.contains("pubmodpb"))).then(|| file.path.clone()),
        );
    }
    holds("generated types are seen outside squall-proto:", &broken);
}

/// The bodies of `impl NAME { … }`.
fn bodies_of(tokens: TokenStream, name: &str) -> Vec<TokenStream> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let is = |token: &TokenTree, wanted: &str| matches!(token, TokenTree::Ident(ident) if ident == wanted);
    tokens
        .windows(3)
        .filter(|three| is(&three[0], "impl") && is(&three[1], name))
        .filter_map(|three| match &three[2] {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group.stream()),
            _ => None,
        })
        .collect()
}

/// The names of the `pub fn name(&mut self …)` in a body.
fn public_and_mutating(body: TokenStream) -> Vec<String> {
    let tokens: Vec<TokenTree> = body.into_iter().collect();
    let mut found = Vec::new();
    for four in tokens.windows(4) {
        let [TokenTree::Ident(visible), TokenTree::Ident(keyword), TokenTree::Ident(name), TokenTree::Group(arguments)] =
            four
        else {
            continue;
        };
        let mutates = arguments.stream().to_string().replace(' ', "").starts_with("&mutself");
        if visible == "pub" && keyword == "fn" && mutates {
            found.push(name.to_string());
        }
    }
    found
}
