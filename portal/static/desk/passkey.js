"use strict";
/* Forms that ask the browser for a passkey: data-passkey is "get" or "create", data-options what the server wants. */
(() => {
    const said = (form, text) => {
        const line = form.querySelector("[data-passkey-said]");
        line.lastElementChild.textContent = text;
        line.hidden = false;
    };
    for (const form of document.querySelectorAll("form[data-passkey]")) {
        form.addEventListener("submit", async (event) => {
            event.preventDefault();
            if (!window.webauthnJSON || !webauthnJSON.supported()) {
                said(form, "This browser can't use passkeys at this address.");
                return;
            }
            try {
                const answer = await webauthnJSON[form.dataset.passkey](JSON.parse(form.dataset.options));
                form.elements.credential.value = JSON.stringify(answer);
                form.submit();
            } catch (error) {
                said(form, error.name === "InvalidStateError"
                    ? "This device has a passkey for you already."
                    : "No passkey was given. Try again, or use a code.");
            }
        });
    }
})();
