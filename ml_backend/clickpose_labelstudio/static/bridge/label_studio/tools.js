/** Label Studio's tools beside the photo: the hand, the box, the point. */

const HAND = "ZoomPanTool";
const managerOf = (image) => image.getToolsManager();

/** Take the hand in place of the present tool; returns how to give that back, or null where there is no hand to take. */
export function takeHand(image) {
  const manager = managerOf(image);
  const hand = manager.allTools().find((tool) => tool.toolName === HAND);
  const before = manager.findSelectedTool();
  if (!hand || hand === before) return null;
  manager.selectTool(hand, true);
  return () => {
    if (managerOf(image).findSelectedTool() !== hand) return; // another has been chosen meanwhile
    if (before) manager.selectTool(before, true);
    else manager.selectTool(hand, false);
  };
}
