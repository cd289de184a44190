//! Lists that travel as a stream of pages, so that no answer is one large message.

use crate::failure::{ClientError, Failure};
use crate::limits::{GATHERED_ITEMS, PAGE_BYTES, PAGE_ITEMS};
use crate::pb;
use crate::wire::Wire;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use prost::Message;
use tonic::Status;

/// A list as a server gives it: in parts of any size, which are cut into pages on their way.
pub type Parts<T> = BoxStream<'static, Result<Vec<T>, Failure>>;
/// A list as a client gets it.
pub type Pages<T> = BoxStream<'static, Result<Vec<T>, ClientError>>;

/// The whole list, up to a limit.
///
/// # Errors
/// What the stream ended with; what came before it is lost.
pub async fn gather<T>(mut pages: Pages<T>) -> Result<Vec<T>, ClientError> {
    let mut all = Vec::new();
    while let Some(page) = pages.next().await {
        all.append(&mut page?);
        if all.len() > GATHERED_ITEMS {
            return Err(ClientError::Other(format!("the list has more than {GATHERED_ITEMS} entries: ask for fewer")));
        }
    }
    Ok(all)
}

/// A message that is nothing but a list.
pub(crate) trait Page: Sized + Send + 'static {
    type Item: Message + Send + 'static;
    fn of(items: Vec<Self::Item>) -> Self;
    fn items(self) -> Vec<Self::Item>;
}

macro_rules! pages {
    ($($page:ident { $list:ident: $item:ident })*) => { $(
        impl Page for pb::$page {
            type Item = pb::$item;
            fn of($list: Vec<pb::$item>) -> Self {
                Self { $list }
            }
            fn items(self) -> Vec<pb::$item> {
                self.$list
            }
        }
    )* };
}
pages! {
    JobPage { jobs: JobView }
    JobDetailPage { jobs: JobDetail }
    ActionPage { results: ActionResult }
    NodePage { nodes: NodeView }
    NodeActionPage { results: NodeActionResult }
    AccountsPage { entries: AccountsEntry }
}

/// Cuts the parts of a list into pages.
pub(crate) fn paged<P, T>(parts: Parts<T>) -> BoxStream<'static, Result<P, Status>>
where
    P: Page,
    T: Wire<Pb = P::Item> + Send + 'static,
{
    let pages = parts.flat_map(|part| match part {
        Ok(items) => stream::iter(cut(items).map(|page| Ok(P::of(page))).collect::<Vec<_>>()),
        Err(failure) => stream::iter(vec![Err(failure.into())]),
    });
    pages.boxed()
}

fn cut<T: Wire>(items: Vec<T>) -> impl Iterator<Item = Vec<T::Pb>>
where
    T::Pb: Message,
{
    let mut items = items.into_iter().map(T::to_pb).peekable();
    std::iter::from_fn(move || {
        items.peek()?;
        let (mut page, mut bytes) = (Vec::new(), 0);
        while let Some(item) = items.peek() {
            bytes += item.encoded_len();
            if !page.is_empty() && (bytes > PAGE_BYTES || page.len() == PAGE_ITEMS) {
                break;
            }
            page.extend(items.next());
        }
        Some(page)
    })
}
