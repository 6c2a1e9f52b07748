/** The looks of the panel, in the colours of the app's theme, light or dark. */
const CSS = `
.cpr { display: flex; flex-direction: column; gap: 6px; min-height: 340px; font-size: 13px;
  color: var(--fo-palette-text-primary, #e8e8ee); }
.cpr-bar { display: flex; flex-wrap: wrap; gap: 4px; align-items: center; }
.cpr-bar > span.cpr-gap { width: 6px; }
.cpr-line { flex-wrap: nowrap; height: 28px; }
.cpr-line select { flex: 0 1 auto; min-width: 60px; }
.cpr-line > span { flex: 1 1 0; min-width: 0; overflow: hidden; white-space: nowrap; text-overflow: ellipsis; margin-left: 4px; }
.cpr button, .cpr select { font: inherit; color: inherit; height: 28px; padding: 0 9px; border-radius: 4px; cursor: pointer;
  border: 1px solid var(--fo-palette-primary-plainBorder, rgba(128, 128, 140, .45)); background: transparent; }
.cpr select { max-width: 170px; padding: 0 4px; background: var(--fo-palette-background-level2, transparent); }
.cpr select option { color: #111; background: #fff; }
.cpr button:hover:not(:disabled) { background: var(--fo-palette-action-hover, rgba(128, 128, 140, .22)); }
.cpr button:disabled { opacity: .42; cursor: default; }
.cpr button:focus-visible, .cpr select:focus-visible { outline: 2px solid #ff6d05; outline-offset: 1px; }
.cpr button[aria-pressed=true] { background: rgba(255, 109, 5, .22); border-color: #ff6d05; }
.cpr button.cpr-main:not(:disabled) { background: #d65a00; border-color: #d65a00; color: #fff; }
.cpr-says { height: 20px; line-height: 20px; overflow: hidden; white-space: nowrap; text-overflow: ellipsis;
  color: var(--fo-palette-text-secondary, #9a9ca8); }
.cpr-board { position: relative; flex: 1 1 auto; min-height: 220px; overflow: hidden; border-radius: 4px;
  background: var(--fo-palette-background-level1, #17181d); touch-action: none; outline: none; }
.cpr-board > canvas { position: absolute; left: 0; top: 0; width: 100%; height: 100%; display: block; }
.cpr-legend { display: flex; flex-wrap: wrap; gap: 2px 12px; align-items: center; min-height: 22px;
  color: var(--fo-palette-text-secondary, #9a9ca8); font-size: 12px; }
.cpr-legend span { display: inline-flex; align-items: center; gap: 3px; white-space: nowrap; }
.cpr-sign { background: #4a4e59; border-radius: 4px; flex: none; }
.cpr-note { position: absolute; left: 8px; right: 8px; top: 8px; padding: 6px 10px; border-radius: 4px; pointer-events: none;
  background: rgba(20, 22, 28, .86); color: #fff; }
.cpr-busy { position: absolute; right: 8px; bottom: 8px; padding: 1px 8px; border-radius: 9px; pointer-events: none;
  background: rgba(20, 22, 28, .8); color: #fff; font-size: 12px; }
.cpr-help { position: absolute; inset: 0; overflow: auto; padding: 14px 16px; background: rgba(20, 22, 28, .95); color: #e8e8ee; }
.cpr-help h4 { margin: 10px 0 4px; font-size: 12px; font-weight: 600; color: #b9bbc8; }
.cpr-help table { border-collapse: collapse; }
.cpr-help td { padding: 2px 12px 2px 0; vertical-align: middle; }
.cpr kbd { border: 1px solid currentColor; border-radius: 4px; padding: 0 5px; font: inherit; font-size: 11px; margin-right: 3px; }
`;

/** Have the looks on the page, once. */
export function dress() {
  if (document.getElementById("cpr-style")) return;
  const style = document.createElement("style");
  style.id = "cpr-style";
  style.textContent = CSS;
  document.head.append(style);
}
