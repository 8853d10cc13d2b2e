//! Titles, labels, buttons and sentences of the pages.

texts! {
    // Several pages.
    SIGN_IN: "로그인", "Sign in";
    SIGN_OUT: "로그아웃", "Sign out";
    CONTINUE: "계속하기", "Continue";
    EMAIL: "이메일", "E-mail";
    PASSWORD: "비밀번호", "Password";
    CREATE_ACCOUNT: "계정 만들기", "Create an account";
    fn signed_in_as(name): "{name} 님으로 로그인되어 있습니다.", "You are signed in as {name}.";

    // The sign-in page.
    FORGOT_PASSWORD: "비밀번호를 잊으셨나요?", "Forgot your password?";
    NO_PASSWORD_RESET:
        "이 게이트웨이는 메일을 보내지 않으므로 비밀번호를 재설정할 수 없습니다. 계정에 추가해 둔 다른 방법으로 로그인하거나 사이트 운영자에게 문의해 주세요.",
        "This gateway sends no mail, so it cannot reset passwords. Sign in with a provider that you added to your account, or ask \
         the operator of this site.";
    fn sign_in_with(provider): "{provider}(으)로 로그인", "Sign in with {provider}";

    // The sign-up page.
    OPTIONAL_NAME: "이름 (선택)", "Name (optional)";
    NEW_PASSWORD: "비밀번호 (8자 이상)", "Password (at least 8 characters)";
    HAVE_ACCOUNT: "이미 계정이 있으신가요? 로그인", "Already have an account? Sign in";

    // The page that adds a provider to an account.
    ADD_SIGN_IN: "로그인 방법 추가", "Add a sign-in method";
    fn add_to_your_account(provider): "{provider} 로그인 추가", "Add {provider} to your account";
    fn effect_of_adding(provider):
        "다음 화면에서 고르는 {provider} 계정으로 이 계정에 로그인할 수 있게 됩니다.",
        "From then on, the {provider} account that you choose on the next page can sign in to this account.";
    ACCOUNT_PASSWORD: "이 계정의 비밀번호", "Password of this account";

    // The pages about a failure.
    SIGN_IN_FAILED: "로그인하지 못했습니다", "The sign-in failed";
    SIGN_IN_AGAIN: "다시 로그인", "Sign in again";
    LINK_FAILED: "계정에 추가하지 못했습니다", "Nothing was added to your account";
    TRY_AGAIN: "다시 시도", "Try again";
    GO_BACK: "돌아가기", "Go back";

    // The page of the session.
    SESSION: "로그인 정보", "Session";
    fn session_of(name): "{name} 님", "Signed in as {name}";
    PRIVATE_RELAY: "비공개 릴레이", "private relay";
    ACCOUNT: "계정", "Account";
    VALID_UNTIL: "유효 기한", "Valid until";
    fn add_to_this_account(provider): "{provider} 로그인 추가", "Add {provider} to this account";
    SHOW_TOKENS: "브라우저 콘솔(F12)에 내 토큰 표시하기", "Show my tokens in the browser's console (F12)";
    WELCOME: "처음으로", "Welcome";

    // The welcome page.
    ALL_OPERATIONS: "호출할 수 있는 모든 API", "all operations of the API";
    YOUR_SESSION: "내 로그인 정보와 토큰", "Your session and tokens";
    PROXIED_REQUEST: "서비스로 전달되는 요청", "a request that is proxied to a service";
    OPENAPI_DOCUMENT: "OpenAPI 문서", "OpenAPI document";
    HEALTH: "상태", "Health";

    // The page about the progress of a deletion.
    DATA_DELETION: "데이터 삭제", "Data deletion";
    DELETION_RECEIVED:
        "삭제 요청을 받았습니다. 곧 처리됩니다. 잠시 후 이 페이지를 다시 열어 주세요.",
        "Your request was received and will be carried out shortly. Open this page again in a moment.";
    DELETION_DONE:
        "삭제가 끝났습니다. 요청하시기 전에 페이스북에서 받은 정보와 권한은 남아 있지 않습니다. 다른 로그인 방법이 없던 계정은 계정까지 삭제했습니다. 요청하신 뒤에 페이스북으로 다시 로그인하셨다면, 그때 새로 허용하신 내용은 그대로 남습니다.",
        "The deletion is complete. The data and permissions that we received from Facebook before your request are deleted. An \
         account without any other way to sign in is deleted as a whole. If you signed in with Facebook again after your request, \
         the permissions that you granted then remain.";
    RECEIVED_AT: "요청을 받은 시각", "Received";
    DONE_AT: "삭제를 마친 시각", "Done";
}
