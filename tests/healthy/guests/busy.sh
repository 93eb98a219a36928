# A machine at work that harms nobody: a backup streams to a second disk, a log is synced once a second, images are unpacked.
# Sourced in the guest. It refuses to end before the recording does: its loads run until the guest powers off.
# disk: 4G nvme,serial=backup
mkfs.ext4 -q /dev/nvme1n1
mkdir -p /srv && mount /dev/nvme1n1 /srv
(while :; do tar -cf /srv/backup /usr 2>/dev/null; sync -f /srv; sleep 5; done) &
(while :; do echo line >>/var/log/app.log; sync /var/log/app.log; sleep 1; done) &
(while :; do mkdir -p /srv/images && tar -xf /srv/backup -C /srv/images 2>/dev/null; rm -rf /srv/images; sleep 3; done) &
sleep 15
