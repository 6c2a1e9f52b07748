/** How doubtful a joint is that no human has placed. */

const SURE = 0.75; // predicted OKS from which a joint is not doubtful at all
const DOUBTFUL = 0.3; // and up to which it is as doubtful as can be shown
const UNKNOWN = 0.6; // taken for the predicted OKS where nothing has predicted it

/** From 0, certain, to 1; `score`: predicted OKS, or null. */
export const doubtOf = (score) => Math.min(Math.max((SURE - (score ?? UNKNOWN)) / (SURE - DOUBTFUL), 0), 1);
