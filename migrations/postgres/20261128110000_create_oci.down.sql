DROP TABLE server_secrets;
DROP TABLE oci_upload_parts;
DROP TABLE oci_uploads;
DROP TABLE oci_tags;
DROP TABLE oci_links;
DROP TABLE oci_manifests;
DROP TABLE oci_blobs;
