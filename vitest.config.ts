import { defineConfig } from "vitest/config";

/** Tests that wait, end programs at many moments, or have many files: npm run test:long. */
const long = [
  "e2e/replicas",
  "e2e/restore",
  "e2e/standing-orders",
  "e2e/cli-follow",
  "e2e/large-directory",
  "e2e/alerts",
  "e2e/demo-interrupted",
  "e2e/chaos-interrupted",
  "e2e/full-disk",
  "e2e/serverless",
  "e2e/reseed",
  "e2e/upgrade-hosts",
  "deploy/proxies",
  "control-plane/db/embedded-postgres-recovery",
  "bench/main",
].map((name) => `test/${name}.test.ts`);

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: [
            "test/**/*.int.test.ts",
            "test/e2e/**",
            "test/browser/**",
            "test/packages/**",
            ...long,
          ],
          testTimeout: 120_000,
          hookTimeout: 60_000,
          maxWorkers: 2,
        },
      },
      {
        test: {
          name: "integration",
          include: ["test/**/*.int.test.ts"],
          globalSetup: "test/helpers/global-setup.ts",
          testTimeout: 120_000,
          hookTimeout: 60_000,
          maxWorkers: 2,
        },
      },
      {
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          exclude: long,
          globalSetup: "test/helpers/global-setup.ts",
          testTimeout: 240_000,
          hookTimeout: 120_000,
          maxWorkers: 2,
        },
      },
      {
        test: {
          name: "long",
          include: long,
          globalSetup: "test/helpers/global-setup.ts",
          testTimeout: 240_000,
          hookTimeout: 120_000,
          maxWorkers: 2,
        },
      },
      {
        test: {
          name: "packages",
          include: ["test/packages/**/*.test.ts"],
          testTimeout: 600_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          name: "browser",
          include: ["test/browser/**/*.test.ts"],
          testTimeout: 300_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
