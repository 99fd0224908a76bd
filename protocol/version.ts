/** Version of mirrorfleet, as each of its programs tells it. */
export const version = "0.1.0";
