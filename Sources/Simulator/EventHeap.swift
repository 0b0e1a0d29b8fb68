/// What is still to happen, earliest first; of one instant, in the order it was arranged.
struct EventHeap {
    enum Event {
        case connect(SimulatedClient)
        case arrive(Cable, Int)
        case arriveEnd(Cable, isReset: Bool)
        case peerRead(Cable)
        case offer(Cable)
        case wake(SimulatedClient)
        case leave(SimulatedClient)
        case statementDone(SimulatedServer, UInt64)
        case opened(OpenRequest)
        case welcome(SimulatedServer)
        case cancel(SimulatedClient, rightKey: Bool, waits: Bool)
        case cancelHits(SimulatedServer)
        case deed(Scenario.Deed.What)
        case calm
        /// On the way from one switchboard to another, by the number of the route.
        case letter(Int)
    }

    /// Plain numbers, so that the heap moves nothing that is counted.
    private struct Entry {
        let at: UInt64
        let number: UInt64
        let place: Int
        static func < (a: Entry, b: Entry) -> Bool { a.at != b.at ? a.at < b.at : a.number < b.number }
    }

    private var entries: [Entry] = []
    private var events: [Event?] = []
    private var freePlaces: [Int] = []
    private var numbers: UInt64 = 0

    var nextAt: UInt64? { entries.first?.at }
    var isEmpty: Bool { entries.isEmpty }

    mutating func add(_ event: Event, at instant: UInt64) {
        numbers += 1
        let place = freePlaces.popLast() ?? events.count
        if place == events.count { events.append(event) } else { events[place] = event }
        let entry = Entry(at: instant, number: numbers, place: place)
        entries.append(entry)
        var child = entries.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard entry < entries[parent] else { break }
            entries[child] = entries[parent]
            child = parent
        }
        entries[child] = entry
    }

    mutating func takeFirst() -> (at: UInt64, event: Event)? {
        guard let first = entries.first, let last = entries.popLast(), let event = events[first.place] else {
            return nil
        }
        events[first.place] = nil
        freePlaces.append(first.place)
        guard !entries.isEmpty else { return (first.at, event) }
        var parent = 0
        while true {
            var least = 2 * parent + 1
            guard least < entries.count else { break }
            if least + 1 < entries.count, entries[least + 1] < entries[least] { least += 1 }
            guard entries[least] < last else { break }
            entries[parent] = entries[least]
            parent = least
        }
        entries[parent] = last
        return (first.at, event)
    }
}
