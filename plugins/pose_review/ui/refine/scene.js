/** What is drawn of a session, in pixels of the canvas, with the signs of Label Studio's bridge. */
import {doubtOf} from "../../../../ml_backend/clickpose_labelstudio/static/bridge/drawing/doubt.js";
import {sizePoints, widthOf} from "../../../../ml_backend/clickpose_labelstudio/static/bridge/drawing/sizes.js";
import {tintsOf} from "../../../../ml_backend/clickpose_labelstudio/static/bridge/drawing/tints.js";
import {isHidden, isPlaced} from "./people.js";
import {toScreen} from "./viewport.js";

const BEHIND = 0.4; // opacity of people who are not chosen
const FADED = 0.22; // and of what is only predicted, where that is asked for

/**
 * People from the back to the front.
 *
 * @param session {photo, people, chosen, joint}.
 * @param view see viewport.js.
 * @param shown {bones, fade, alone: only who is chosen, hidden: ids, hovered: id or null}.
 */
export function sceneOf(session, view, shown) {
  const {photo, chosen} = session;
  const middles = session.people.map(({id, box: [left, top, right, bottom]}) => ({
    id, center: {x: (left + right) / 2, y: (top + bottom) / 2},
  }));
  const tints = tintsOf(photo, middles);
  const isShown = ({id}) => !shown.hidden.has(id) && (!shown.alone || id === chosen);
  const {preview} = session;
  const scene = session.people.filter(isShown).map((stored) => {
    const person = preview?.id === stored.id ? preview.person : stored;
    const isChosen = person.id === chosen;
    const isMeant = isChosen || person.id === shown.hovered;
    return {...figureOf(person, photo, view, {...shown, isMeant, joint: isChosen ? session.joint : null}), isChosen, isMeant, tint: tints.get(person.id)};
  });
  return scene.sort((a, b) => a.isChosen - b.isChosen || a.isMeant - b.isMeant);
}

/** A person's points, bones and box on the canvas. */
function figureOf(person, photo, view, {isMeant, joint, bones: hasBones, fade}) {
  const opacity = isMeant ? 1 : BEHIND;
  const faded = (placed) => (fade && !placed ? FADED : 1);
  const points = person.joints.flatMap((of, index) => (of ? [{
    ...toScreen(view, of), index, side: sideOf(index, photo.pairs), doubt: isPlaced(of) ? 0 : doubtOf(of[2]),
    placed: isPlaced(of), hidden: isHidden(of), selected: index === joint, isBehind: !isMeant, opacity: faded(isPlaced(of)),
  }] : []));
  const [from, to] = [toScreen(view, person.box), toScreen(view, person.box.slice(2))];
  const size = Math.max(to.x - from.x, to.y - from.y);
  sizePoints(points, size);
  const byIndex = new Map(points.map((point) => [point.index, point]));
  const width = widthOf(size) + (isMeant ? 0.5 : 0);
  const bones = (hasBones ? photo.bones : []).flatMap(([a, b]) => {
    const ends = [byIndex.get(a), byIndex.get(b)];
    if (!ends[0] || !ends[1]) return [];
    return [{
      from: ends[0], to: ends[1], width, doubt: Math.max(ends[0].doubt, ends[1].doubt), hidden: ends[0].hidden || ends[1].hidden,
      opacity: opacity * faded(ends[0].placed && ends[1].placed),
    }];
  });
  const corners = [from, {x: to.x, y: from.y}, to, {x: from.x, y: to.y}];
  return {id: person.id, points, bones, corners, size, opacity};
}

export function sideOf(index, pairs) {
  for (const [left, right] of pairs) {
    if (index === left) return "left";
    if (index === right) return "right";
  }
  return "middle";
}

/** A pose that stands beside the people: as it was before, or as it is labelled. */
export function ghostOf({joints, box}, photo, view) {
  const points = joints.flatMap((of, index) => (of ? [{...toScreen(view, of), index}] : []));
  const [from, to] = [toScreen(view, box), toScreen(view, box.slice(2))];
  const size = Math.max(to.x - from.x, to.y - from.y);
  sizePoints(points, size);
  const byIndex = new Map(points.map((point) => [point.index, point]));
  const bones = photo.bones.flatMap(([a, b]) => (byIndex.has(a) && byIndex.has(b) ? [[byIndex.get(a), byIndex.get(b)]] : []));
  return {points, byIndex, bones, width: widthOf(size)};
}
