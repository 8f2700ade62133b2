/** Preloaded into the platform's child processes: when the process that started them is gone, however it ended, they end too. */

/** What to end by: Azurite saves its tables on SIGINT; the others lose nothing by SIGKILL. */
const signal = new URL(import.meta.url).searchParams.get("signal") === "SIGINT" ? "SIGINT" : "SIGKILL";

process.once("disconnect", () => process.kill(process.pid, signal));
process.channel?.unref();
