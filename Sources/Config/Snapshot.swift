/// One validated configuration, immutable.
package final class Snapshot: Sendable {
    package init() {}
}
