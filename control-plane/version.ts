/** Version of the control plane. */
export const version = "0.1.0";
