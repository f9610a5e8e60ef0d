-- Who can be told something new is asked once for all followers, by transaction.
CREATE INDEX prescription_version_changed_in ON prescription_version (changed_in);
