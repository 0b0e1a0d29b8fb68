import Primitives

/// What somebody may have meant with a setting that does not exist.
enum Suggestion {
    /// The end of an error line; empty when nothing comes close.
    static func text(for name: ByteString) -> String {
        guard let nearest = nearest(to: name) else { return "" }
        return "did you mean \(nearest)?"
    }

    /// The setting that differs in the fewest letters: three at most, and fewer than half of them.
    static func nearest(to name: ByteString) -> String? {
        guard name.count <= 64 else { return nil }
        var best: (distance: Int, name: String)?
        for row in GlobalSettings.rows {
            let distance = distance(name.bytes, Array(row.name.utf8))
            if distance < best?.distance ?? 4, distance * 2 < name.count { best = (distance, row.name) }
        }
        return best?.name
    }

    /// Letters to insert, delete or replace. Both texts are short.
    private static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var previous = Array(0...b.count)
        for (row, byte) in a.enumerated() {
            var next = [row + 1]
            for (column, other) in b.enumerated() {
                let replaced = previous[column] + (byte == other ? 0 : 1)
                next.append(min(replaced, previous[column + 1] + 1, next[column] + 1))
            }
            previous = next
        }
        return previous[b.count]
    }
}
