/** Version of the agent, as the control plane shows it. */
export const version = "0.1.0";
