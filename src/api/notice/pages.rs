//! The page about the progress of a deletion. It says nothing about the person, because it is visible to everyone who
//! has its address.

use maud::{Markup, html};

use super::super::pages::{bilingual, page};
use crate::{
    domain::gateway::schemas::notice::{DeletionState, DeletionStatus},
    problem::Problem,
};

const TITLE: &str = "데이터 삭제 · Data deletion";

/// The progress.
pub(super) fn deletion(status: &DeletionStatus) -> String {
    let (korean, english) = match status.status {
        DeletionState::Received => (
            "삭제 요청을 받았습니다. 곧 처리됩니다. 잠시 후 이 페이지를 다시 열어 주세요.",
            "Your request was received and will be carried out shortly. Open this page again in a moment.",
        ),
        DeletionState::Done => (
            "삭제가 끝났습니다. 요청하시기 전에 페이스북에서 받은 정보와 권한은 남아 있지 않습니다. 다른 로그인 방법이 없던 계정은 계정까지 지웠습니다. 요청하신 뒤에 페이스북으로 다시 로그인하셨다면, 그때 새로 허용하신 내용은 그대로 남습니다.",
            "It is done. What we had from Facebook until you asked is deleted, and so is what you allowed us there. An account that nobody \
             could have signed in to any more is deleted as a whole. If you signed in with Facebook again after you asked, what you \
             allowed us then stays.",
        ),
    };
    let main = html! {
        h1 { (bilingual("데이터 삭제", "Data deletion")) }
        p lang="ko" { (korean) }
        p { (english) }
        dl {
            dt { (bilingual("요청을 받은 시각", "Received")) }
            dd { (time(&status.received_at.to_rfc3339())) }
            @if let Some(done_at) = status.done_at {
                dt { (bilingual("삭제를 마친 시각", "Done")) }
                dd { (time(&done_at.to_rfc3339())) }
            }
        }
    };
    page(TITLE, &main)
}

/// There is no such request, or the store is unavailable.
pub(super) fn no_deletion(problem: &Problem) -> String {
    let korean = match problem.code {
        "deletion_not_found" => "이 코드의 삭제 요청이 없거나, 처리한 지 1년이 지났습니다. 주소를 확인해 주세요.",
        _ => "지금은 확인할 수 없습니다. 잠시 후 다시 시도해 주세요.",
    };
    let main = html! {
        h1 { (bilingual("데이터 삭제", "Data deletion")) }
        p lang="ko" { (korean) }
        p { (problem.detail) }
    };
    page(TITLE, &main)
}

/// A time, with a blank instead of the standard's letter.
fn time(rfc3339: &str) -> Markup {
    html! { time datetime=(rfc3339) { (rfc3339.replace('T', " ")) } }
}
