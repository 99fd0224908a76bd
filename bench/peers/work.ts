const [peer] = process.argv.slice(2);
if (peer === "pg-boss") await (await import("./pg-boss.ts")).workBossQueue();
else await (await import("./graphile-worker.ts")).workGraphileQueue();
