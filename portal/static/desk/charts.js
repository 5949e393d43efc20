"use strict";
/* Draws the plots of the start page from the JSON block of the page; a click leads to the log of that quarter. */
(() => {
    const block = document.getElementById("plots");
    if (!block) return;
    const data = JSON.parse(block.textContent);
    const starts = data.starts.map((start) => new Date(start));
    const charts = [];

    // The canvas can't read custom properties: a probe resolves them.
    const probe = document.body.appendChild(document.createElement("span"));
    probe.hidden = true;
    const colour = (name) => {
        probe.style.color = `var(${name})`;
        return getComputedStyle(probe).color;
    };
    const clock = (moment) => moment.toISOString().slice(11, 16);
    const span = (index) => {
        const end = new Date(starts[index].getTime() + 15 * 60 * 1000);
        return `${starts[index].toISOString().slice(0, 10)}, ${clock(starts[index])} to ${clock(end)} UTC`;
    };

    const series = {
        outcomes: [
            ["complete", "complete", "--good-fill"],
            ["partial", "partial", "--warn-fill"],
            ["none", "none answered", "--none-fill"],
            ["refused", "refused", "--bad-fill"],
            ["failed", "failed", "--ink-faint"],
        ],
        latency: [
            ["p50", "p50", "--plot-low", []],
            ["p95", "p95", "--plot-middle", [7, 3]],
            ["p99", "p99", "--plot-high", [2, 3]],
        ],
    };

    const datasets = (plot) => series[plot].map(([key, label, variable, dash]) => ({
        label,
        data: data[plot][key],
        backgroundColor: colour(variable),
        borderColor: colour(variable),
        borderWidth: plot === "latency" ? 2 : 0,
        borderDash: dash,
        pointRadius: plot === "latency" ? (point) => (isAlone(point) ? 2.5 : 0) : 0,
        pointHitRadius: 12,
        tension: 0.25,
        barPercentage: 0.92,
        categoryPercentage: 0.96,
    }));

    // A point without neighbours would be invisible in a line.
    const isAlone = ({ dataset, dataIndex }) =>
        dataset.data[dataIndex - 1] == null && dataset.data[dataIndex + 1] == null;

    const options = (plot) => ({
        animation: false,
        responsive: true,
        maintainAspectRatio: false,
        interaction: { mode: "index", intersect: false },
        onClick: (_event, elements) => {
            if (elements.length && data.urls.length) window.location.assign(data.urls[elements[0].index]);
        },
        onHover: (event, elements) => {
            event.native.target.style.cursor = elements.length && data.urls.length ? "pointer" : "default";
        },
        plugins: {
            legend: {
                display: true,
                position: "top",
                align: "start",
                labels: { color: colour("--ink-soft"), boxWidth: 14, boxHeight: plot === "latency" ? 2 : 10, padding: 14 },
            },
            tooltip: { callbacks: { title: (items) => span(items[0].dataIndex) } },
        },
        scales: {
            x: {
                stacked: plot === "outcomes",
                grid: { display: false },
                border: { color: colour("--line-strong") },
                ticks: { color: colour("--ink-faint"), maxRotation: 0, autoSkip: true, autoSkipPadding: 18 },
                title: { display: true, text: "time (UTC)", color: colour("--ink-faint") },
            },
            y: {
                stacked: plot === "outcomes",
                beginAtZero: true,
                grid: { color: colour("--line") },
                border: { display: false },
                ticks: { color: colour("--ink-faint"), precision: plot === "outcomes" ? 0 : undefined, maxTicksLimit: 6 },
                title: { display: true, text: plot === "outcomes" ? "exchanges" : "milliseconds", color: colour("--ink-faint") },
            },
        },
    });

    const draw = () => {
        while (charts.length) charts.pop().destroy();
        Chart.defaults.font.family = "Inter, system-ui, sans-serif";
        Chart.defaults.font.size = 12;
        for (const canvas of document.querySelectorAll("canvas[data-plot]")) {
            const plot = canvas.dataset.plot;
            charts.push(new Chart(canvas, {
                type: plot === "outcomes" ? "bar" : "line",
                data: { labels: starts.map(clock), datasets: datasets(plot) },
                options: options(plot),
            }));
        }
    };
    draw();
    document.addEventListener("desk:theme", draw);
})();
