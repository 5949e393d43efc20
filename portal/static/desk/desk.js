"use strict";
/* Small comforts. Every page works without them. */
(() => {
    const isTyping = (element) =>
        element.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(element.tagName);

    // "/" goes to the search box. Only without other keys, and never while somebody types.
    document.addEventListener("keydown", (event) => {
        if (event.key !== "/" || !deskSlash.isOn() || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
        const box = document.querySelector('[data-shortcut="/"]');
        if (box) {
            event.preventDefault();
            box.focus();
        }
    });

    // Copy buttons: data-copy names the element whose text is copied.
    const copy = async (button) => {
        const source = document.getElementById(button.dataset.copy);
        const text = "value" in source ? source.value : source.textContent.trim();
        const label = button.querySelector("[data-copy-label]") || button;
        const before = label.textContent;
        try {
            await navigator.clipboard.writeText(text);
            label.textContent = "Copied";
        } catch {
            const range = document.createRange();
            range.selectNodeContents(source);
            const selection = window.getSelection();
            selection.removeAllRanges();
            selection.addRange(range);
            label.textContent = "Press Ctrl-C";
        }
        window.setTimeout(() => { label.textContent = before; }, 2000);
    };
    document.addEventListener("click", (event) => {
        const button = event.target.closest("[data-copy]");
        if (button) copy(button);
    });

    // A page that shows a secret once: reloading it must not send its form again.
    const once = document.querySelector("[data-replace-url]");
    if (once) window.history.replaceState(null, "", once.dataset.replaceUrl);

    // A code behind the # of a link goes into its field, and out of the address and the history.
    const coded = document.querySelector("[data-from-fragment]");
    if (coded && window.location.hash.length > 1) {
        coded.value = window.location.hash.slice(1);
        window.history.replaceState(null, "", window.location.pathname);
    }

    // Where a checkbox must be ticked before a link leads on ("I stored it").
    for (const gate of document.querySelectorAll("[data-gate]")) {
        const target = document.getElementById(gate.dataset.gate);
        const follow = () => target.toggleAttribute("data-closed", !gate.checked);
        gate.addEventListener("change", follow);
        follow();
    }
    document.addEventListener("click", (event) => {
        if (event.target.closest("[data-closed]")) event.preventDefault();
    });

    // Times are UTC; hovering tells the local time.
    const localise = (root) => {
        for (const time of root.querySelectorAll("time[datetime]:not([title])")) {
            time.title = `${new Date(time.dateTime).toLocaleString()} where you are`;
        }
    };
    localise(document);
    document.addEventListener("htmx:afterSwap", (event) => localise(event.target));

    // A running job is announced at each tenth, not every two seconds.
    let tenth = -1;
    document.addEventListener("htmx:afterSwap", (event) => {
        const bar = event.target.querySelector("[data-percent]");
        const said = document.getElementById(event.target.dataset.announce);
        if (!bar || !said) return;
        const now = Math.floor(Number(bar.dataset.percent) / 10);
        if (now > tenth) said.textContent = `${now * 10} percent are converted`;
        tenth = now;
    });

    // Filters send only what is filled in, so that links stay short.
    for (const form of document.querySelectorAll("form[data-trim]")) {
        form.addEventListener("formdata", (event) => {
            for (const [name, value] of [...event.formData.entries()]) {
                if (value === "") event.formData.delete(name);
            }
        });
    }

    // One click sends a form once.
    for (const form of document.querySelectorAll("form[method=post]:not([data-again])")) {
        form.addEventListener("submit", (event) => {
            if (form.dataset.sent) event.preventDefault();
            form.dataset.sent = "yes";
        });
        window.addEventListener("pageshow", () => delete form.dataset.sent);
    }
})();
