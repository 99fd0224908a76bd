/** Version of mirrorfleet, as each of its programs tells it. */
export const version = "0.1.0";

/**
 * Number of what agents and control plane say to each other: a release that says more than the one before
 * has the next. A control plane works with agents of its own number, of the one before, and of the one after.
 */
export const protocolNumber = 2;

/** Header of every agent's request, and of every answer; a request without it is of number 1. */
export const protocolHeader = "mirrorfleet-protocol";
