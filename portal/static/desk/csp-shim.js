"use strict";
/* Alpine's CSP build takes no code from attributes: what the layout names is registered here. */
document.addEventListener("alpine:init", () => {
    window.Alpine.data("theme", () => ({
        theme: deskTheme.chosen(),
        choose(theme) {
            this.theme = theme;
            deskTheme.choose(theme);
        },
        get isLight() { return this.theme === "light" ? "true" : "false"; },
        get isDark() { return this.theme === "dark" ? "true" : "false"; },
        get isAuto() { return this.theme === "auto" ? "true" : "false"; },
    }));

    window.Alpine.data("frame", () => ({
        sideOpen: false,
        slashOn: deskSlash.isOn(),
        toggleSlash() {
            this.slashOn = !this.slashOn;
            deskSlash.set(this.slashOn);
        },
        get slashPressed() { return this.slashOn ? "true" : "false"; },
        get sideClass() { return this.sideOpen ? "is-open" : ""; },
        get sideExpanded() { return this.sideOpen ? "true" : "false"; },
        openSide() {
            this.sideOpen = true;
            this.$nextTick(() => document.querySelector(".side-close").focus());
        },
        closeSide() {
            this.sideOpen = false;
            document.querySelector(".side-open").focus();
        },
        init() {
            window.addEventListener("keydown", (event) => {
                if (event.key === "Escape" && this.sideOpen) this.closeSide();
            });
        },
    }));
});
