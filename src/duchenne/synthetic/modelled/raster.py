"""A small rasteriser, compiled by numba: depth buffer, shading with soft shadows, transparent layers on top.

Screen coordinates: x right, y down, pixels; z towards the viewer. Colours are linear light, 0 to 1.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

SKIN: Final = 0
EYE: Final = 1
OTHER: Final = 2
HAIR: Final = 3


@njit(cache=True)
def normals(points: Any, faces: Any) -> Any:
    """(V, 3) unit normals of points, the mean of their faces', weighted by area."""
    out = np.zeros_like(points)
    for f in range(len(faces)):
        a, b, c = faces[f]
        ux, uy, uz = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
        vx, vy, vz = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1], points[c, 2] - points[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for p in (a, b, c):
            out[p, 0] -= nx  # y points down: the cross product points inward
            out[p, 1] -= ny
            out[p, 2] -= nz
    for p in range(len(out)):
        length = np.sqrt(out[p, 0] ** 2 + out[p, 1] ** 2 + out[p, 2] ** 2) + 1e-12
        for i in range(3):
            out[p, i] /= length
    return out


@njit(cache=True)
def fill(points: Any, faces: Any, uv: Any, kinds: Any, atlas: Any, depth: Any, seen: Any, weights: Any) -> None:
    """Fills the depth buffer, the number of the face that is seen at each pixel, and the place within it.

    Args:
        points: (V, 3) on the screen. faces: (F, 3). uv: (F, 3, 2) in texels of `atlas`. kinds: (F,) SKIN ... HAIR.
        atlas: (H, W, 4) uint8; hair is cut out where its fourth channel is below one half.
        depth: (S, S), changed. seen: (S, S) int32, changed. weights: (S, S, 2) of the first two corners, changed.
    """
    side_y, side_x = depth.shape
    for f in range(len(faces)):
        a, b, c = faces[f]
        ax, ay, bx, by, cx, cy = points[a, 0], points[a, 1], points[b, 0], points[b, 1], points[c, 0], points[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        hair = kinds[f] == HAIR
        if area == 0 or (area > 0 and not hair):  # seen from behind: counter-clockwise with y down is negative
            continue
        x0, x1 = max(0, int(np.ceil(min(ax, bx, cx) - 0.5))), min(side_x - 1, int(np.floor(max(ax, bx, cx) - 0.5)))
        y0, y1 = max(0, int(np.ceil(min(ay, by, cy) - 0.5))), min(side_y - 1, int(np.floor(max(ay, by, cy) - 0.5)))
        if x0 > x1 or y0 > y1:
            continue
        az, bz, cz = points[a, 2], points[b, 2], points[c, 2]
        inverse = 1.0 / area
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                px, py = x + 0.5, y + 0.5
                wa = ((bx - px) * (cy - py) - (by - py) * (cx - px)) * inverse
                wb = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) * inverse
                wc = 1.0 - wa - wb
                if wa < 0 or wb < 0 or wc < 0:
                    continue
                z = wa * az + wb * bz + wc * cz
                if z <= depth[y, x]:
                    continue
                if hair:
                    u = int(wa * uv[f, 0, 0] + wb * uv[f, 1, 0] + wc * uv[f, 2, 0])
                    v = int(wa * uv[f, 0, 1] + wb * uv[f, 1, 1] + wc * uv[f, 2, 1])
                    if atlas[v, u, 3] < 128:
                        continue
                depth[y, x] = z
                seen[y, x] = f
                weights[y, x, 0] = wa
                weights[y, x, 1] = wb


@njit(cache=True)
def fill_depth(points: Any, faces: Any, depth: Any) -> None:
    """Fills a depth buffer alone: what a light sees."""
    side_y, side_x = depth.shape
    for f in range(len(faces)):
        a, b, c = faces[f]
        ax, ay, bx, by, cx, cy = points[a, 0], points[a, 1], points[b, 0], points[b, 1], points[c, 0], points[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0:
            continue
        x0, x1 = max(0, int(np.ceil(min(ax, bx, cx) - 0.5))), min(side_x - 1, int(np.floor(max(ax, bx, cx) - 0.5)))
        y0, y1 = max(0, int(np.ceil(min(ay, by, cy) - 0.5))), min(side_y - 1, int(np.floor(max(ay, by, cy) - 0.5)))
        inverse = 1.0 / area
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                px, py = x + 0.5, y + 0.5
                wa = ((bx - px) * (cy - py) - (by - py) * (cx - px)) * inverse
                wb = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) * inverse
                if wa < 0 or wb < 0 or wa + wb > 1:
                    continue
                z = wa * points[a, 2] + wb * points[b, 2] + (1.0 - wa - wb) * points[c, 2]
                if z > depth[y, x]:
                    depth[y, x] = z


@njit(cache=True, fastmath=True)
def shade(
    points: Any, normal: Any, faces: Any, uv: Any, kinds: Any, seen: Any, weights: Any, skin: Any, atlas: Any,
    relief: Any, corner: Any, strength: Any, lit_points: Any, lit_depth: Any, light: Any, key: Any, ambient: Any,
    gloss: Any, image: Any,
) -> None:  # fmt: skip
    """Colours every pixel at which a face is seen.

    Args:
        points, normal: (V, 3) on the screen; unit normals. faces, uv, kinds, seen, weights: see `fill`; uv of the
            skin in texels of `skin`.
        skin: (H, W, 3) uint8, square root of linear light. atlas: (H, W, 4) likewise.
        relief: (h, w, 2, C) int8: slopes along u and v of the heights of C kinds of wrinkles, over the skin's texels
            from `corner` (2,) on.
        strength: (2, C) of each kind on the subject's right and left, per texel in pixels of the screen and 1/127.
        lit_points: (V, 3) the points as the light sees them, in texels of `lit_depth` (S, S).
        light: (3,) towards it. key, ambient: (3,) colours.
        gloss: (4,) of the kinds.
        image: (S, S, 3), changed.
    """
    side_y, side_x = seen.shape
    kinds_of_relief = relief.shape[3]
    half = np.sqrt(light[0] ** 2 + light[1] ** 2 + (light[2] + 1) ** 2)
    hx, hy, hz = light[0] / half, light[1] / half, (light[2] + 1) / half
    shadow_side = lit_depth.shape[0]
    wrap = np.array([0.42, 0.24, 0.16])
    for y in range(side_y):
        for x in range(side_x):
            f = seen[y, x]
            if f < 0:
                continue
            a, b, c = faces[f]
            wa, wb = weights[y, x, 0], weights[y, x, 1]
            wc = 1.0 - wa - wb
            kind = kinds[f]
            nx = wa * normal[a, 0] + wb * normal[b, 0] + wc * normal[c, 0]
            ny = wa * normal[a, 1] + wb * normal[b, 1] + wc * normal[c, 1]
            nz = wa * normal[a, 2] + wb * normal[b, 2] + wc * normal[c, 2]
            u = wa * uv[f, 0, 0] + wb * uv[f, 1, 0] + wc * uv[f, 2, 0]
            v = wa * uv[f, 0, 1] + wb * uv[f, 1, 1] + wc * uv[f, 2, 1]
            if kind == SKIN:
                iu, iv = int(u), int(v)
                fu, fv = u - iu, v - iv
                iu, iv = min(max(iu, 0), skin.shape[1] - 2), min(max(iv, 0), skin.shape[0] - 2)
                r = g = bl = 0.0
                for dv in range(2):
                    for du in range(2):
                        w = (fu if du else 1 - fu) * (fv if dv else 1 - fv)
                        r += w * skin[iv + dv, iu + du, 0]
                        g += w * skin[iv + dv, iu + du, 1]
                        bl += w * skin[iv + dv, iu + du, 2]
                ru, rv = int(u - corner[0]), int(v - corner[1])
                if 0 <= ru < relief.shape[1] and 0 <= rv < relief.shape[0]:
                    mid = relief.shape[0] * 0.5
                    blend = min(max((rv - mid) * 0.05 + 0.5, 0.0), 1.0)
                    gu = gv = 0.0
                    for k in range(kinds_of_relief):
                        s = strength[0, k] * (1 - blend) + strength[1, k] * blend
                        if s != 0.0:
                            gu += s * relief[rv, ru, 0, k]
                            gv += s * relief[rv, ru, 1, k]
                    if gu != 0.0 or gv != 0.0:
                        # The screen's slope of a height that is known over texels: through the face's two edges.
                        e1u, e1v = uv[f, 1, 0] - uv[f, 0, 0], uv[f, 1, 1] - uv[f, 0, 1]
                        e2u, e2v = uv[f, 2, 0] - uv[f, 0, 0], uv[f, 2, 1] - uv[f, 0, 1]
                        h1, h2 = gu * e1u + gv * e1v, gu * e2u + gv * e2v
                        p1x, p1y, p1z = (
                            points[b, 0] - points[a, 0],
                            points[b, 1] - points[a, 1],
                            points[b, 2] - points[a, 2],
                        )
                        p2x, p2y, p2z = (
                            points[c, 0] - points[a, 0],
                            points[c, 1] - points[a, 1],
                            points[c, 2] - points[a, 2],
                        )
                        g11 = p1x * p1x + p1y * p1y + p1z * p1z
                        g22 = p2x * p2x + p2y * p2y + p2z * p2z
                        g12 = p1x * p2x + p1y * p2y + p1z * p2z
                        det = g11 * g22 - g12 * g12
                        if det > 1e-9:
                            q1, q2 = (g22 * h1 - g12 * h2) / det, (g11 * h2 - g12 * h1) / det
                            nx -= q1 * p1x + q2 * p2x
                            ny -= q1 * p1y + q2 * p2y
                            nz -= q1 * p1z + q2 * p2z
            else:
                iu, iv = min(max(int(u), 0), atlas.shape[1] - 1), min(max(int(v), 0), atlas.shape[0] - 1)
                r, g, bl = float(atlas[iv, iu, 0]), float(atlas[iv, iu, 1]), float(atlas[iv, iu, 2])
            length = 1.0 / (np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12)
            nx, ny, nz = nx * length, ny * length, nz * length
            if kind == HAIR and nz < 0:
                nx, ny, nz = -nx, -ny, -nz
            lx = wa * lit_points[a, 0] + wb * lit_points[b, 0] + wc * lit_points[c, 0]
            ly = wa * lit_points[a, 1] + wb * lit_points[b, 1] + wc * lit_points[c, 1]
            lz = wa * lit_points[a, 2] + wb * lit_points[b, 2] + wc * lit_points[c, 2]
            open_share = 0.0
            for dy in range(-1, 2):
                for dx in range(-1, 2):
                    sx, sy = int(lx + dx * 1.3), int(ly + dy * 1.3)
                    if sx < 0 or sy < 0 or sx >= shadow_side or sy >= shadow_side or lit_depth[sy, sx] < lz + 2.5:
                        open_share += 1.0
            open_share /= 9.0
            cosine = nx * light[0] + ny * light[1] + nz * light[2]
            sky = 0.78 - 0.22 * ny
            shine = max(nx * hx + ny * hy + nz * hz, 0.0)
            rim = 1.0 - max(nz, 0.0)
            if kind == EYE:
                bright = gloss[kind] * shine**180 * open_share
            elif kind == SKIN:
                bright = gloss[kind] * (0.8 * shine**14 + 1.1 * shine**40) * open_share * (1 + 2 * rim * rim)
            else:
                bright = gloss[kind] * shine**24 * open_share
            for channel in range(3):
                texel = (r if channel == 0 else g if channel == 1 else bl) / 255.0
                w = wrap[channel] if kind == SKIN else 0.1
                lit = max((cosine + w) / (1 + w), 0.0)
                # Light that enters the skin beside a shadow reaches into it, red light farthest.
                soft = open_share + (1 - open_share) * w * 0.35
                image[y, x, channel] = texel * texel * (key[channel] * lit * soft + ambient[channel] * sky) + (
                    bright * key[channel]
                )


@njit(cache=True)
def lay_over(points: Any, faces: Any, uv: Any, atlas: Any, depth: Any, bias: float, light: Any, image: Any) -> None:
    """Lays transparent faces (brows, lashes) over the picture where nothing hides them.

    Args:
        points, faces, uv: see `fill`. atlas: (H, W, 4) uint8, square root of linear light and opacity.
        depth: (S, S). bias: how far behind it they may still lie, pixels. light: (3,) that falls on them.
        image: (S, S, 3), changed.
    """
    side_y, side_x = depth.shape
    for f in range(len(faces)):
        a, b, c = faces[f]
        ax, ay, bx, by, cx, cy = points[a, 0], points[a, 1], points[b, 0], points[b, 1], points[c, 0], points[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0:
            continue
        x0, x1 = max(0, int(np.ceil(min(ax, bx, cx) - 0.5))), min(side_x - 1, int(np.floor(max(ax, bx, cx) - 0.5)))
        y0, y1 = max(0, int(np.ceil(min(ay, by, cy) - 0.5))), min(side_y - 1, int(np.floor(max(ay, by, cy) - 0.5)))
        inverse = 1.0 / area
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                px, py = x + 0.5, y + 0.5
                wa = ((bx - px) * (cy - py) - (by - py) * (cx - px)) * inverse
                wb = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) * inverse
                wc = 1.0 - wa - wb
                if wa < 0 or wb < 0 or wc < 0:
                    continue
                if wa * points[a, 2] + wb * points[b, 2] + wc * points[c, 2] < depth[y, x] - bias:
                    continue
                u = min(max(int(wa * uv[f, 0, 0] + wb * uv[f, 1, 0] + wc * uv[f, 2, 0]), 0), atlas.shape[1] - 1)
                v = min(max(int(wa * uv[f, 0, 1] + wb * uv[f, 1, 1] + wc * uv[f, 2, 1]), 0), atlas.shape[0] - 1)
                opaque = atlas[v, u, 3] / 255.0
                if opaque == 0.0:
                    continue
                for channel in range(3):
                    texel = atlas[v, u, channel] / 255.0
                    image[y, x, channel] += opaque * (texel * texel * light[channel] - image[y, x, channel])


@njit(cache=True)
def half_size(image: Any, background: Any, seen: Any, out: Any) -> None:
    """Averages two by two pixels, the background where nothing is seen, and writes square roots (display light)."""
    side_y, side_x = out.shape[:2]
    for y in range(side_y):
        for x in range(side_x):
            for channel in range(3):
                total = 0.0
                for dy in range(2):
                    for dx in range(2):
                        yy, xx = 2 * y + dy, 2 * x + dx
                        total += image[yy, xx, channel] if seen[yy, xx] >= 0 else background[y, x, channel]
                out[y, x, channel] = np.sqrt(max(total * 0.25, 0.0))
