/** What the app has put on its page for plugins: its own React, and its doors for components and events. */
export const React = window.React;
export const h = React.createElement;
export const operators = window.__foo__;
export const plugins = window.__fop__;
export const state = window.__fos__ ?? {};
export const recoil = window.recoil;
