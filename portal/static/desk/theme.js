"use strict";
/* Runs before the first paint. The choice is kept under the key that Unfold uses, as JSON. */
const deskTheme = {
    system: window.matchMedia("(prefers-color-scheme: dark)"),
    chosen() {
        try {
            const stored = JSON.parse(window.localStorage.getItem("adminTheme"));
            return ["light", "dark"].includes(stored) ? stored : "auto";
        } catch {
            return "auto";
        }
    },
    apply() {
        const chosen = this.chosen();
        const dark = chosen === "dark" || (chosen === "auto" && this.system.matches);
        document.documentElement.classList.toggle("dark", dark);
        document.dispatchEvent(new CustomEvent("desk:theme"));
    },
    choose(theme) {
        window.localStorage.setItem("adminTheme", JSON.stringify(theme));
        this.apply();
    },
};
deskTheme.apply();
deskTheme.system.addEventListener("change", () => deskTheme.apply());

/* The one single-key shortcut can be switched off: speech input and tremor type keys unasked (WCAG 2.1.4). */
const deskSlash = {
    isOn() { return window.localStorage.getItem("deskSlash") !== "off"; },
    set(on) {
        window.localStorage.setItem("deskSlash", on ? "on" : "off");
        this.apply();
    },
    apply() { document.documentElement.classList.toggle("no-slash", !this.isOn()); },
};
deskSlash.apply();
