"use strict";
/* Draws who revealed how much beside what is usual for them; a click narrows the ledger to that person. */
(() => {
    const block = document.getElementById("reveals-plot");
    const canvas = document.querySelector("canvas[data-reveals]");
    if (!block || !canvas) return;
    const data = JSON.parse(block.textContent);
    let chart = null;

    // The canvas can't read custom properties: a probe resolves them.
    const probe = document.body.appendChild(document.createElement("span"));
    probe.hidden = true;
    const colour = (name) => {
        probe.style.color = `var(${name})`;
        return getComputedStyle(probe).color;
    };

    const bars = (label, values, variable) => ({
        label,
        data: values,
        backgroundColor: colour(variable),
        maxBarThickness: 18,
    });

    const draw = () => {
        if (chart) chart.destroy();
        Chart.defaults.font.family = "Inter, system-ui, sans-serif";
        Chart.defaults.font.size = 12;
        chart = new Chart(canvas, {
            type: "bar",
            data: {
                labels: data.names,
                datasets: [
                    bars("last 24 hours", data.counts, "--plot-middle"),
                    bars("own median of a day", data.medians, "--none-fill"),
                ],
            },
            options: {
                animation: false,
                responsive: true,
                maintainAspectRatio: false,
                indexAxis: "y",
                interaction: { mode: "index", axis: "y", intersect: false },
                onClick: (_event, elements) => {
                    if (elements.length) window.location.assign(data.urls[elements[0].index]);
                },
                onHover: (event, elements) => {
                    event.native.target.style.cursor = elements.length ? "pointer" : "default";
                },
                plugins: {
                    legend: { position: "top", align: "start", labels: { color: colour("--ink-soft"), boxWidth: 14, boxHeight: 10, padding: 14 } },
                },
                scales: {
                    x: {
                        beginAtZero: true,
                        grid: { color: colour("--line") },
                        border: { display: false },
                        ticks: { color: colour("--ink-faint"), precision: 0, maxTicksLimit: 8 },
                        title: { display: true, text: "clear values", color: colour("--ink-faint") },
                    },
                    y: { grid: { display: false }, border: { color: colour("--line-strong") }, ticks: { color: colour("--ink-soft") } },
                },
            },
        });
    };
    draw();
    document.addEventListener("desk:theme", draw);
})();
