/** How regions and numbers are named to annotators. */

/** A joint as it is read aloud: "left wrist". */
export const nameOf = (region) => String(region.labelName ?? "a point without a label").replace(/_+/g, " ");

export const count = (number, thing) => `${number} ${thing}${number === 1 ? "" : "s"}`;
