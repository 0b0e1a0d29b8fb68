import Primitives

/// What the 64 bits of an event mean. Live links have an odd generation, hence bit 32 set; everything else
/// the poller watches has it clear.
enum EventWord {
    case link(LinkID)
    case signals
    case resolver
    case mailbox
    case helpers
    case listener(Int)
    case lingering(place: Int, stamp: UInt16)

    private static let kindShift: UInt64 = 60

    @inline(__always)
    init?(_ word: UInt64) {
        if word & (1 << 32) != 0 {
            self = .link(LinkID(packed: word))
            return
        }
        let place = Int(word & 0xFFFF_FFFF)
        switch word >> Self.kindShift {
        case 1: self = .signals
        case 2: self = .resolver
        case 3: self = .listener(place)
        case 4: self = .lingering(place: place, stamp: UInt16(truncatingIfNeeded: word >> 40))
        case 5: self = .helpers
        case 6: self = .mailbox
        default: return nil
        }
    }

    var word: UInt64 {
        switch self {
        case .link(let link): link.packed
        case .signals: 1 << Self.kindShift
        case .resolver: 2 << Self.kindShift
        case .helpers: 5 << Self.kindShift
        case .mailbox: 6 << Self.kindShift
        case .listener(let place): 3 << Self.kindShift | UInt64(place)
        case .lingering(let place, let stamp):
            4 << Self.kindShift | UInt64(stamp) << 40 | UInt64(place)
        }
    }
}
