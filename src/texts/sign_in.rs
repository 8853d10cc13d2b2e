//! Why a sign-in failed, or why a provider was not added to an account. The English text is also the detail of the
//! problem.

texts! {
    // The attempt.
    fn unknown_attempt(begin_at):
        "이 브라우저에서 시작하지 않았거나, 10분이 지났거나, 이미 끝난 로그인입니다. {begin_at} 에서 다시 시작해 주세요.",
        "this sign-in was not started in this browser, is older than ten minutes, or has already finished; start again at \
         {begin_at}";
    fn unknown_link_attempt(begin_at):
        "10분이 지났거나 이미 끝난 연결입니다. {begin_at} 에서 다시 시작해 주세요.",
        "this attempt is older than ten minutes, or has already finished; to add the provider, start again at {begin_at}";
    DENIED:
        "동의하지 않아 로그인하지 않았습니다. 저장된 것은 없습니다.",
        "you did not agree at the provider, so you were not signed in; nothing was stored";
    LINK_DENIED:
        "동의하지 않아 계정에 추가하지 않았습니다. 그 밖에 바뀐 것은 없습니다.",
        "you did not agree at the provider, so it was not added to your account; nothing else has changed";
    MALFORMED_CALLBACK:
        "로그인 서버의 응답을 이해할 수 없습니다. 다시 시작해 주세요.",
        "the provider's response contains neither one code nor one error; start again";
    NO_FORM_RESPONSE:
        "이 로그인 서버는 폼(POST)이 아니라 쿼리(GET)로 응답합니다.",
        "this provider sends its response as a query (GET), not as a form";

    // The account.
    fn account_ended(begin_at):
        "로그인하는 동안 계정이 삭제되었거나 이 로그인 서버와의 연결이 끊겼습니다. {begin_at} 에서 다시 시작해 주세요.",
        "the account was deleted, or this provider was removed from it, while you signed in; start again at {begin_at}";
    LINK_ACCOUNT_ENDED:
        "로그인 서버에 다녀오는 동안 계정이 삭제되었거나 이 로그인 서버와의 연결이 끊겼습니다.",
        "the account was deleted, or this provider was removed from it, while you were at the provider";
    OTHER_SESSION:
        "로그인 서버를 추가하려던 계정으로 더 이상 로그인되어 있지 않습니다. 바뀐 것은 없습니다.",
        "this browser is no longer signed in to the account that the provider was to be added to; nothing has changed";
    LINKED_ELSEWHERE:
        "이미 다른 계정에 연결된 로그인 정보라 추가하지 않았습니다. 계정은 합쳐지지 않습니다.",
        "this identity at the provider belongs to another account, so it was not added to yours; accounts are never merged";
    NOT_SIGNED_IN:
        "로그인되어 있지 않아 로그인 서버를 추가할 계정이 없습니다.",
        "this browser is not signed in, so there is no account to add a provider to";
    PASSWORD_MISSING: "계정의 비밀번호를 입력해 주세요.", "the password of the account is required";
    fn link_is_a_post(public_url):
        "로그인 서버를 계정에 추가하려면 {public_url}/login/{{provider}}/link 를 여세요.",
        "to add a provider to your account, open {public_url}/login/{{provider}}/link";

    // The parameters that begin a sign-in.
    UNKNOWN_PROVIDER:
        "사용할 수 없는 로그인 서버입니다. /login 에서 다른 로그인 서버를 골라 주세요.",
        "no provider of this name is enabled; /login lists the enabled providers";
    NO_AUTH_TYPES:
        "이 로그인 서버는 auth_type 을 지원하지 않습니다. auth_type 을 빼 주세요.",
        "this provider does not support auth_type; leave it out";
    fn auth_types(known):
        "이 로그인 서버의 auth_type 은 다음 중 하나여야 합니다: {known}",
        "auth_type of this provider must be one of: {known}";
    NO_MORE_SCOPES:
        "이 로그인 서버에는 항상 요청하는 것 외에 더 요청할 수 있는 scope 가 없습니다. 사이트 운영자에게 문의해 주세요.",
        "no scope may be requested here besides those that are always requested; ask the operator of this site to allow more";
    fn more_scopes(most, allowed):
        "scope 는 다음 중에서 빈칸으로 구분해 {most}자까지 고를 수 있습니다: {allowed}",
        "scope must be one or more of these, separated by spaces, of at most {most} characters in total: {allowed}";

    // The provider.
    PROVIDER_REFUSES_GATEWAY:
        "로그인 서버가 게이트웨이의 요청을 받아들이지 않습니다. 사이트 운영자만 해결할 수 있으며, 원인은 게이트웨이의 로그에 있습니다.",
        "the provider does not accept the gateway at the moment; only the operator can fix this, and the gateway's log gives the \
         reason";
    PROVIDER_UNREACHABLE:
        "로그인 서버에 연결할 수 없습니다. 잠시 후 다시 시도해 주세요.",
        "the provider cannot be reached at the moment; try again shortly";
    PROVIDER_THROTTLES:
        "로그인 서버에 요청이 너무 많습니다. 잠시 후 다시 시도해 주세요.",
        "the provider gets too many requests at the moment; try again later";
    fn provider_refused(code):
        "로그인 서버가 거절했습니다({code}). 다시 시작해 주세요.",
        "the provider refused the sign-in ({code}); start again";
    fn id_token_missing(remedy):
        "로그인 서버가 ID 토큰을 주지 않아 로그인하지 못했습니다. 운영자라면: {remedy}",
        "the provider issued no id token, so you were not signed in; if you are the operator: {remedy}";
    INVALID_RESPONSE:
        "로그인 서버의 응답이 올바르지 않습니다.",
        "the provider's response is invalid; the gateway's log gives the reason";

    // People whom the settings do not admit.
    HOSTED_DOMAIN_REQUIRED:
        "정해진 Google Workspace 도메인의 계정으로만 로그인할 수 있습니다.",
        "only accounts of one Google Workspace domain may sign in here; choose your account of that domain";
    TENANT_NOT_ALLOWED:
        "이 조직의 계정으로는 로그인할 수 없습니다. 사이트 운영자에게 문의해 주세요.",
        "accounts of your organization may not sign in here; ask the operator of this site for access";
    GROUP_REQUIRED:
        "정해진 그룹의 구성원만 로그인할 수 있습니다. 사이트 운영자에게 문의해 주세요.",
        "only members of certain groups may sign in here, and your organization names you in none of them; ask the operator of \
         this site for access";
    TOO_MANY_GROUPS:
        "속한 그룹이 너무 많아 ID 토큰에 담기지 않았습니다. 사이트 운영자에게 문의해 주세요.",
        "only members of certain groups may sign in here, and you are in so many groups that your organization does not name \
         them; ask the operator of this site";
}
