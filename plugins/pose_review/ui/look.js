/** How things look: in the app's own colours, light or dark. */
export const MUTED = "var(--fo-palette-text-secondary, #9a9ca8)";
export const KEY_STYLE = {
  border: "1px solid currentColor", borderRadius: 4, padding: "0 5px", marginRight: 5, fontSize: 11,
  fontFamily: "inherit", lineHeight: "16px", display: "inline-block", minWidth: 8, textAlign: "center",
};
