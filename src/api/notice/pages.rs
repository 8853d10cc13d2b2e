//! The page about the progress of a deletion. It says nothing about the person, because it is visible to everyone who
//! has its address.

use maud::{Markup, html};

use crate::{
    api::shared::pages::{bilingual, page, paragraphs},
    domain::gateway::schemas::notice::{DeletionState, DeletionStatus},
    problem::Problem,
    texts::{codes, pages as text},
};

/// The progress.
pub(super) fn deletion(status: &DeletionStatus) -> String {
    let progress = match status.status {
        DeletionState::Received => text::DELETION_RECEIVED,
        DeletionState::Done => text::DELETION_DONE,
    };
    let main = html! {
        h1 { (bilingual(&text::DATA_DELETION)) }
        (paragraphs(&progress))
        dl {
            dt { (bilingual(&text::RECEIVED_AT)) }
            dd { (time(&status.received_at.to_rfc3339())) }
            @if let Some(done_at) = status.done_at {
                dt { (bilingual(&text::DONE_AT)) }
                dd { (time(&done_at.to_rfc3339())) }
            }
        }
    };
    page(&text::DATA_DELETION.both(), &main)
}

/// There is no such request, or the store is unavailable.
pub(super) fn no_deletion(problem: &Problem) -> String {
    let main = html! {
        h1 { (bilingual(&text::DATA_DELETION)) }
        (paragraphs(&codes::problem(problem.code, problem.detail.clone())))
    };
    page(&text::DATA_DELETION.both(), &main)
}

/// A time, with a blank instead of the standard's letter.
fn time(rfc3339: &str) -> Markup {
    html! { time datetime=(rfc3339) { (rfc3339.replace('T', " ")) } }
}
