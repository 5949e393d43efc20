"use strict";
/* Revealed values are masked again after their time, and as soon as their window is left. */
(() => {
    const shown = document.querySelector("[data-hide-after]");
    if (!shown) return;
    const values = [shown, ...shown.querySelectorAll("[data-mask]")].filter((one) => "mask" in one.dataset);
    const said = document.querySelector("[data-hide-said]");
    let left = Number(shown.dataset.hideAfter);
    const hide = () => {
        if (left === null) return;
        left = null;
        window.clearInterval(clock);
        for (const value of values) value.textContent = value.dataset.mask;
        said.textContent = "Hidden again.";
        said.setAttribute("role", "status");
    };
    const clock = window.setInterval(() => {
        left -= 1;
        if (left <= 0) hide();
        else said.textContent = `Hidden again in ${left} seconds, or when you leave this window.`;
    }, 1000);
    window.addEventListener("blur", hide);
    window.addEventListener("pagehide", hide);
    document.addEventListener("visibilitychange", () => { if (document.hidden) hide(); });
})();
