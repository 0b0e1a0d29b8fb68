import Primitives

/// Makes new inputs out of old ones. Everything depends on the seed.
package struct Mutator {
    private var random: Random
    private let dictionary: [Bytes]
    private let limitBytes: Int

    package init(seed: UInt64, for fuzzer: Fuzzer) {
        random = Random(seed: seed)
        dictionary = fuzzer.dictionary.map(\.bytes)
        limitBytes = fuzzer.limitBytes
    }

    /// Values at which lengths, counts and numbers go wrong.
    private static let telling: [UInt32] = [
        0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 16, 63, 64, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x10000,
        10_000, 10_001, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFF0, 0xFFFF_FFFB, 0xFFFF_FFFC, 0xFFFF_FFFF,
    ]

    /// A new input from those that are known; from nothing when there are none.
    package mutating func next(from corpus: [Bytes]) -> Bytes {
        var bytes = corpus.isEmpty ? [] : corpus[random.below(corpus.count)]
        if bytes.isEmpty || random.below(64) == 0 { bytes = random.bytes(random.below(64)) }
        // Mostly few changes, sometimes many.
        for _ in 0..<(1 + random.below(random.below(8) == 0 ? 24 : 4)) { change(&bytes, corpus) }
        return bytes.count > limitBytes ? Bytes(bytes.prefix(limitBytes)) : bytes
    }

    private mutating func change(_ bytes: inout Bytes, _ corpus: [Bytes]) {
        let place = random.below(bytes.count + 1)
        let here = min(place, max(0, bytes.count - 1))
        switch random.below(12) {
        case 0 where !bytes.isEmpty: bytes[here] ^= 1 << UInt8(random.below(8))
        case 1 where !bytes.isEmpty: bytes[here] = UInt8(random.below(256))
        case 2 where !bytes.isEmpty: bytes[here] = bytes[here] &+ UInt8(random.below(2) == 0 ? 1 : 255)
        case 3: bytes.insert(UInt8(random.below(256)), at: place)
        case 4, 5: insertWord(&bytes, place)
        case 6 where !bytes.isEmpty: overwriteNumber(&bytes, here)
        case 7 where !bytes.isEmpty:
            bytes.removeSubrange(here..<min(bytes.count, here + 1 + random.below(16)))
        case 8 where !bytes.isEmpty:
            let piece = Bytes(bytes[here..<min(bytes.count, here + 1 + random.below(64))])
            bytes.insert(contentsOf: piece, at: random.below(bytes.count + 1))
        case 9 where !corpus.isEmpty: splice(&bytes, place, corpus[random.below(corpus.count)])
        case 10 where bytes.count > 1: bytes.swapAt(here, random.below(bytes.count))
        case 11:
            bytes.insert(contentsOf: repeatElement(bytes.isEmpty ? 0 : bytes[here], count: run), at: place)
        default: bytes.append(UInt8(random.below(256)))
        }
    }

    private var run: Int {
        mutating get { random.below(16) == 0 ? random.below(1024) : random.below(8) }
    }

    private mutating func insertWord(_ bytes: inout Bytes, _ place: Int) {
        guard !dictionary.isEmpty else { return }
        let word = dictionary[random.below(dictionary.count)]
        if random.below(3) == 0, place + word.count <= bytes.count {
            bytes.replaceSubrange(place..<place + word.count, with: word)
        } else {
            bytes.insert(contentsOf: word, at: place)
        }
    }

    private mutating func overwriteNumber(_ bytes: inout Bytes, _ place: Int) {
        let value = Self.telling[random.below(Self.telling.count)]
        let width = random.below(2) == 0 ? 4 : 2
        for index in 0..<width where place + index < bytes.count {
            bytes[place + index] = UInt8(truncatingIfNeeded: value >> UInt32(8 * (width - 1 - index)))
        }
    }

    /// The front of one and the back of another.
    private mutating func splice(_ bytes: inout Bytes, _ place: Int, _ other: Bytes) {
        bytes = Bytes(bytes[..<place]) + Bytes(other[random.below(other.count + 1)...])
    }
}
